"""The model that needs no key and no network: scripted answers, streamed word by word, labelled as a demo."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from django.conf import settings

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
    ThinkingDelta,
    text_of,
)
from threads.providers import demo_errands, demo_text
from threads.providers.base import Request

CHARS_PER_TOKEN = 4
WORD = re.compile(r"\s*\S+|\s+")  # loses nothing
TITLE_PROMPT = re.compile(r"\btitle\b.{0,80}\b(chat|conversation)\b|\b(chat|conversation)\b.{0,80}\btitle\b", re.IGNORECASE | re.DOTALL)


class DemoProvider:
    """Deterministic for the same history, so that a partial answer given to it is continued to the letter."""

    async def stream(self, request: Request) -> AsyncIterator[list[Event]]:
        question = _question(request.messages)
        budget = request.max_tokens * CHARS_PER_TOKEN
        yield [MessageStart(_envelope(request))]
        thoughts, text, errand = _plan(request, question)
        spent = 0
        index = 0
        if thoughts:
            async for events in _spell(index, {"type": "thinking", "thinking": "", "signature": ""}, thoughts):
                yield events
            spent, index = len(thoughts), 1
        said = text[: max(budget - spent, 0)]
        spent += len(said)
        if said:
            async for events in _spell(index, {"type": "text", "text": ""}, said):
                yield events
            index += 1
        cut = len(said) < len(text)
        if errand and not cut:
            arguments = errand.pop("input")
            yield [BlockStart(index, {**errand, "input": {}}), BlockDelta(index, InputJsonDelta(json.dumps(arguments))), BlockStop(index)]
            spent += len(json.dumps(arguments))
        reason = "max_tokens" if cut else "tool_use" if errand else "end_turn"
        yield [MessageDelta({"stop_reason": reason, "stop_sequence": None}, {"output_tokens": _tokens(spent)}), MessageStop()]

    async def close(self) -> None:
        """Nothing is open."""


async def _spell(index: int, block: Block, text: str) -> AsyncIterator[list[Event]]:
    """A word at a time; whoever comes late gets those that a network would have kept for it."""
    pause = settings.DEMO_DELAY_MS / 1000
    kind = ThinkingDelta if block["type"] == "thinking" else TextDelta
    events: list[Event] = [BlockStart(index, block)]
    due = time.monotonic()
    for word in WORD.findall(text):
        if (early := due - time.monotonic()) > 0:
            yield events
            events = []
            await asyncio.sleep(early)
        due += pause
        events.append(BlockDelta(index, kind(word)))
    yield events
    await asyncio.sleep(max(0, due - time.monotonic()))
    yield [BlockStop(index)]


def _plan(request: Request, question: str) -> tuple[str | None, str, dict[str, Any] | None]:
    """What to think, what to say and which tool to call."""
    if TITLE_PROMPT.search(_system_text(request)):
        return None, demo_text.title(question), None
    results = _tool_results(request.messages)
    errand = _errand(request, question, results)
    if errand:
        text = f"{demo_text.LABEL} But the tool it calls now is real."
    elif results:
        text = f"{demo_text.LABEL} The tool answered:\n\n" + "\n\n".join(demo_errands.shown(*one) for one in results[-1])
    else:
        text = demo_text.answer(question, sum(1 for message in request.messages if _asks(message)))
    last = request.messages[-1]
    if last["role"] != "assistant":
        return demo_text.thoughts(question), text, errand
    # A partial answer is continued: what is there is skipped. One that another model began gets this answer below it.
    begun = "".join(block["text"] for block in last["content"] if block["type"] == "text")
    return None, text[len(begun) :] if text.startswith(begun) else f"\n\n{text}", errand


def _errand(request: Request, question: str, results: list[list[demo_errands.Result]]) -> dict[str, Any] | None:
    """The tool call that comes next in answering the question, if such a tool is offered."""
    wanted = demo_errands.next_call(question, request.tools, results)
    if wanted is None:
        return None
    call_id = f"toolu_demo_{uuid.uuid5(uuid.NAMESPACE_OID, repr(request.messages)).hex[:16]}"
    return {"type": "tool_use", "id": call_id, "name": wanted[0], "input": wanted[1]}


def _asks(message: dict[str, Any]) -> bool:
    return message["role"] == "user" and bool(text_of(message["content"]))


def _question(messages: list[dict[str, Any]]) -> str:
    return next((text_of(message["content"]) for message in reversed(messages) if _asks(message)), "")


def _tool_results(messages: list[dict[str, Any]]) -> list[list[demo_errands.Result]]:
    """What tools answered since the newest question, a list for each time they were called."""
    found: list[list[demo_errands.Result]] = []
    for message in reversed(messages):
        if _asks(message):
            break
        if message["role"] == "user":
            found.append([_result(block) for block in message["content"] if block["type"] == "tool_result"])
    return [results for results in reversed(found) if results]


def _result(block: Block) -> demo_errands.Result:
    content = block.get("content") or ""
    text = content if isinstance(content, str) else text_of(content)
    return text, bool(block.get("is_error")) or demo_errands.failed_inside(text)


def _system_text(request: Request) -> str:
    system = request.system or ""
    return system if isinstance(system, str) else text_of(system)


def _envelope(request: Request) -> dict[str, Any]:
    size = len(_system_text(request)) + sum(len(json.dumps(message["content"])) for message in request.messages)
    return {
        "id": f"msg_demo_{uuid.uuid4().hex[:20]}",
        "type": "message",
        "role": "assistant",
        "model": request.model.slug,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": _tokens(size + len(json.dumps(request.tools)) * bool(request.tools)), "output_tokens": 1},
    }


def _tokens(chars: int) -> int:
    return max(1, -(-chars // CHARS_PER_TOKEN))
