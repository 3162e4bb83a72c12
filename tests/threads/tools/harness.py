"""Turns that call tools, answered in this process by a scripted model: as the generating process does it, and killed as it dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from asgiref.sync import sync_to_async
from django.db import connection
from psycopg_pool import AsyncConnectionPool

from accounts.models import User
from bench.strict import refused_by_anthropic, refused_by_openai
from chatai.lib.postgres import conninfo
from threads import actions
from threads.blocks import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    TextDelta,
)
from threads.models import Message, Thread, Turn, TurnEvent
from threads.providers import anthropic, openai
from threads.providers.base import ModelInfo, Request
from threads.providers.catalog import model_info
from threads.providers.history import ToolNames
from threads.replies import claims
from threads.replies.context import Context
from threads.replies.journal import Journal
from threads.replies.turn import LiveTurn
from tools import registry
from tools.registry import Builtin, Run
from tools.schemas import takes, word

Said = str | dict[str, Any]  # a text, or a call as `call(…)` makes it
TOOLS = {"tools_mode": "dynamic"}


def call(name: str, arguments: Any = None, id: str = "") -> dict[str, Any]:
    """A call in what the model says; without an id, one that nobody else has."""
    return {"name": name, "input": {} if arguments is None else arguments, "id": id or f"toolu_{uuid4().hex}"}


def executing(*calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return call("qlaud_multi_execute", {"calls": [{"tool": name, "args": args} for name, args in calls]})


class Model:
    """Says its messages one after the other, by how many there are since the question; refuses what a real API would refuse."""

    def __init__(self, *messages: Sequence[Said], usage: dict[str, int] | None = None) -> None:
        self.messages = messages
        self.usage = usage or {"input_tokens": 10, "output_tokens": 5}
        self.requests: list[Request] = []
        self.refused: list[str] = []
        self.before: Callable[[int], Awaitable[None]] | None = None

    async def stream(self, request: Request) -> AsyncIterator[list[Event]]:
        self.requests.append(request)
        self.refused += problems(request)
        turn = since_question(request.messages)
        said = self.messages[min(turn, len(self.messages) - 1)]
        if self.before is not None:
            await self.before(turn)
        usage = {"input_tokens": self.usage["input_tokens"], "output_tokens": 1}
        yield [MessageStart({"id": f"msg_{uuid4().hex}", "type": "message", "role": "assistant", "content": [], "usage": usage})]
        for index, one in enumerate(said):
            await asyncio.sleep(0)
            yield _block(index, one)
        reason = "tool_use" if any(isinstance(one, dict) for one in said) else "end_turn"
        yield [MessageDelta({"stop_reason": reason, "stop_sequence": None}, {"output_tokens": self.usage["output_tokens"]}), MessageStop()]

    async def close(self) -> None:
        """Nothing is open."""


def _block(index: int, said: Said) -> list[Event]:
    if isinstance(said, str):
        return [BlockStart(index, {"type": "text", "text": ""}), BlockDelta(index, TextDelta(said)), BlockStop(index)]
    block = {"type": "tool_use", "id": said["id"], "name": said["name"], "input": {}}
    spelled = said["input"] if isinstance(said["input"], str) else json.dumps(said["input"])
    return [BlockStart(index, block), BlockDelta(index, InputJsonDelta(spelled)), BlockStop(index)]


def since_question(messages: list[dict[str, Any]]) -> int:
    """How many messages the model has finished since the person last said something."""
    said = 0
    for message in reversed(messages):
        if message["role"] == "user" and any(block["type"] != "tool_result" for block in message["content"]):
            break
        said += message["role"] == "user"
    return said


def problems(request: Request) -> list[str]:
    """What the two vendors would say of it."""
    names = ToolNames(request.tools)
    found = [
        refused_by_anthropic(anthropic.request_body(request, names)),
        refused_by_openai(openai.request_body(request, ToolNames(request.tools))),
    ]
    return [one for one in found if one]


@dataclass
class Process:
    """One generating process, as far as single turns need it."""

    model: Model
    info: ModelInfo
    pool: AsyncConnectionPool[Any]
    journal: Journal
    writer: asyncio.Task[None]
    live: LiveTurn | None = None

    async def take(self) -> LiveTurn | None:
        """A turn that is queued, or whose lease has run out."""
        async with self.pool.connection() as one:
            claimed = await claims.claim(one, "test", 60, 1) or await claims.recover(one, "test", 60, 1, 1, [])
        if not claimed:
            return None
        context = Context(self.pool, _nobody)
        self.live = LiveTurn(claimed[0], self.info, self.model, self.journal, context)
        self.live.task = asyncio.create_task(self.live.run())
        return self.live

    async def work(self) -> None:
        """Everything there is to do."""
        while (live := await self.take()) is not None:
            assert live.task is not None
            await live.task

    async def die(self) -> None:
        """As kill -9: whatever was not written is gone. The lease is given up, as time would do it."""
        self.writer.cancel()
        if self.live is not None and self.live.task is not None:
            self.live.task.cancel()
            await asyncio.gather(self.live.task, return_exceptions=True)
        async with self.pool.connection() as one:
            await one.execute("UPDATE threads_turn SET lease_until = now() - interval '1 second' WHERE status = 'running'")


async def _nobody() -> None:
    return None


@contextlib.asynccontextmanager
async def process(model: Model, slug: str = "demo") -> AsyncIterator[Process]:
    info = await sync_to_async(model_info)(slug)
    assert info is not None
    async with AsyncConnectionPool(conninfo("test"), min_size=1, max_size=4, kwargs={"autocommit": True}, open=False) as pool:
        journal = Journal(conninfo("test"))
        one = Process(model, info, pool, journal, asyncio.create_task(journal.run()))
        try:
            yield one
        finally:
            one.writer.cancel()
            await asyncio.gather(one.writer, return_exceptions=True)
            if journal.link is not None:
                await journal.link.close()


def answer(model: Model, slug: str = "demo") -> None:
    """Work through everything that is queued or was left."""

    async def run() -> None:
        async with process(model, slug) as one:
            await one.work()

    asyncio.run(run())
    connection.close()


# --- what there is to call --------------------------------------------------------------------------------------------------


@dataclass
class Effects:
    """What the tools of a test have done, by their arguments."""

    done: list[str] = field(default_factory=list)


@contextlib.contextmanager
def tools(**runs: tuple[Run, dict[str, Any]]) -> Iterator[None]:
    """Built-in tools for the time of a test: (how it runs, fields of Builtin) by slug."""
    made = []
    try:
        for name, (run, fields) in runs.items():
            slug = name.replace("_", "-")
            given = {"input_schema": takes("", what=word("What."), value={"type": "number"}), "writes": False, **fields}
            given = {"description": f"Does {slug}."} | given
            registry.register(Builtin(slug=slug, display_name=slug, brand="chatai", run=run, **given))
            made.append(slug)
        yield
    finally:
        for slug in made:
            del registry._builtins[slug]


def ask(user: User, thread: Thread | UUID, text: str = "Do it", **options: Any) -> Turn:
    thread_id = thread if isinstance(thread, UUID) else thread.pk
    given = {"options": dict(TOOLS), "model": "demo", "request_id": str(uuid4())} | options
    return Turn.objects.get(pk=actions.admit_turn(user, thread_id, content=text, **given).turn_id)


def rows(turn: Turn) -> list[tuple[str, list[Block]]]:
    """Role and content of the turn's messages, in order."""
    return list(Message.objects.filter(turn=turn).order_by("seq").values_list("role", "content"))


def events(turn: Turn) -> list[dict[str, Any]]:
    turn.refresh_from_db()
    assert turn.ring is not None
    found = TurnEvent.objects.filter(ring=turn.ring, turn_id=turn.pk).order_by("index")
    return [json.loads(payload) for payload in found.values_list("payload", flat=True)]


def kinds(turn: Turn) -> list[str]:
    """The events without the pieces of messages, their names without the prefix."""
    return [event["type"].removeprefix("qlaud.") for event in events(turn) if event["type"].startswith("qlaud.")]
