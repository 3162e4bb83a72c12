"""One turn from claim to finish: stream the answer into the journal, then store it."""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError as BrokerError

from chatai.lib import hints
from threads.blocks import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    MessageStart,
    Partial,
    TurnDone,
    TurnError,
    dump_event,
    load_event,
)
from threads.providers.base import ModelInfo, ProviderError
from threads.replies import store
from threads.replies.context import Context
from threads.replies.journal import Journal, Line
from threads.replies.purse import Purse, TurnLost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from threads.providers.base import Provider

logger = logging.getLogger(__name__)

Ending = Literal["done", "stopped", "failed", "interrupted"]

INTERRUPTED = "The answer was cut off by a restart. What had arrived is kept."
GAVE_UP = "The answer could not be written after several attempts. Please try again."
TOO_LONG = "The answer took longer than this server allows. What had arrived is kept."
FAULT = "Something went wrong on our side while writing this answer. It has been logged."


class LiveTurn:
    """A turn this process is working on."""

    def __init__(self, claimed: store.Claimed, info: ModelInfo, provider: Provider, journal: Journal, context: Context):
        self.claimed = claimed
        self.info = info
        self.provider = provider
        self.journal = journal
        self.context = context
        self.pool = context.pool
        self.line = Line(claimed.id, claimed.ring, claimed.epoch)
        self.partial = Partial()
        self.first_token_at: datetime | None = None
        self.purse = Purse(claimed, context.pool, self.line, self._still_ours)
        self.task: asyncio.Task[None] | None = None
        self.why_cancelled: Literal["stop", "lost", "drain"] | None = None
        self.finishing = False

    def cancel(self, why: Literal["stop", "lost", "drain"]) -> None:
        if why == "stop" and self.finishing:
            return  # it ends by itself, and sooner than whoever would take it over
        if self.task is not None and self.why_cancelled is None:
            self.why_cancelled = why
            self.task.cancel()

    async def run(self) -> None:
        """Work until the turn is finished, lost to another process, or handed back."""
        self.line.lost = lambda: self.cancel("lost")
        self.journal.open(self.line)
        try:
            ending, error = await self._answer()
            self.finishing = True
            if ending is not None:
                await self._finish(ending, error)
        finally:
            self.journal.close(self.line)

    async def _answer(self) -> tuple[Ending | None, ProviderError | None]:
        try:
            async with asyncio.timeout(settings.MAX_TURN_SECONDS):
                if self.claimed.attempts > 1 and not await self._pick_up():
                    return self._unfinished(), ProviderError("cut", INTERRUPTED if self.partial.shown else GAVE_UP, True)
                if self.claimed.stop_requested_at is not None:
                    return "stopped", None
                await self._stream()
            return "done", None
        except TurnLost:
            return None, None
        except ProviderError as error:
            # Not the detail: a vendor's message may quote what the person wrote.
            logger.warning("turn %s: provider %s: %s (HTTP %s)", self.claimed.id, self.info.provider, error.kind, error.status)
            return self._unfinished(), error
        except TimeoutError:
            return self._unfinished(), ProviderError("timeout", TOO_LONG, True)
        except asyncio.CancelledError:
            if self.why_cancelled is None:
                raise
            if task := asyncio.current_task():
                task.uncancel()  # it goes on, to store the end
            return ("stopped" if self.why_cancelled == "stop" else None), None
        except Exception:
            # A fault of ours must end in a stored state that the person sees, not in a turn that runs for ever.
            logger.exception("turn %s failed", self.claimed.id)
            return self._unfinished(), ProviderError("server", FAULT, True)

    def _unfinished(self) -> Ending:
        return "interrupted" if self.partial.shown else "failed"

    async def _pick_up(self) -> bool:
        """Rebuild what an earlier attempt left in the journal. False: the turn must end with what is there."""
        rows = await store.patiently(self.pool, lambda connection: store.events(connection, self.claimed.ring, self.claimed.id))
        events = [(epoch, load_event(payload)) for epoch, payload in rows]
        self.purse.recall(events)
        for _, event in events:
            self.partial.add(event)
            self.line.outline.add(event)
        self.line.index = len(events)
        if self.claimed.attempts > settings.MAX_ATTEMPTS:
            return False
        if self.partial.stop_reason is not None and all(self.partial.closed):
            return True  # only the finishing was missing
        if not self.partial.shown:
            return True
        return self.info.prefill and self._open_text() is not None

    def _open_text(self) -> int | None:
        """Index of the text block an earlier attempt was writing, if it was writing text."""
        last = len(self.partial.blocks) - 1
        return last if last >= 0 and self.partial.blocks[last]["type"] == "text" and not self.partial.closed[last] else None

    async def _stream(self) -> None:
        if self.partial.stop_reason is not None:
            return
        request = await self.purse.cover(await self.context.request(self.claimed, self.info, self.partial))
        events = self.provider.stream(request)
        meter = self.purse.begin()
        try:
            async for event in _shifted(events, self.partial):
                meter.add(event)
                if isinstance(event, MessageStart) and self.partial.started:
                    continue
                if self.first_token_at is None and isinstance(event, BlockDelta):
                    self.first_token_at = datetime.now(UTC)
                self.partial.add(event)
                self.journal.append(self.line, event)
        except asyncio.CancelledError:
            meter.asked = True  # it was sent, and who stops an answer before its first word still owes for the question
            raise
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    async def _finish(self, ending: Ending, error: ProviderError | None) -> None:
        """Everything of the end in one transaction; once PostgreSQL is there, however long that takes."""
        for index, closed in enumerate(self.partial.closed):
            if not closed:
                stop = BlockStop(index)
                self.journal.append(self.line, stop)
        last = await self.journal.take(self.line)
        content = self.partial.content()
        money = self.purse.closing(self.info.provider, content)
        cost: int = money["cost"]
        if error is not None:
            last.append(TurnError(message=error.message, status=error.status, kind=error.kind, retry_after=_whole(error.retry_after)))
        last.append(self._done(ending, cost))
        for event in last:
            self.line.outline.add(event)
        values = money | {
            "turn": self.claimed.id,
            "thread": self.claimed.thread_id,
            "answer": self.claimed.answer_id,
            "status": ending,
            "message_status": "complete" if ending == "done" else ending,
            "error_kind": error.kind if error else "",
            "error_message": error.message if error else "",
            "retry_after": _whole(error.retry_after) if error else None,
            "content": store.as_json(content),
            "stop_reason": self.partial.stop_reason or "",
            "usage": store.as_json(self.purse.usage()),
            "first_token_at": self.first_token_at,
            "worth_title": _has_text(content),
            "indexes": list(range(self.line.index, self.line.index + len(last))),
            "payloads": [dump_event(event) for event in last],
            "outline": bytes(self.line.outline.data),
        }
        await self._store(values)

    def _done(self, ending: Ending, cost: int) -> TurnDone:
        return TurnDone(
            iterations=1,
            hit_max_iterations=False,
            incomplete=None if ending == "done" else True,
            cost_micros=cost,
            seq=self.claimed.first_seq + 1,
            thread_id=str(self.claimed.thread_id),
        )

    async def _store(self, values: dict[str, Any]) -> None:
        epoch = self.line.epoch
        row = await store.patiently(self.pool, lambda connection: store.finish(connection, values | {"epoch": epoch}))
        if row is None and await self._still_ours(epoch):
            return await self._store(values)
        if row is not None:
            hints.announce("live", "turns", f"{self.claimed.thread_id}/{self.claimed.id}")
            if row[0]:
                await asyncio.to_thread(_ask_for_title, self.claimed.thread_id)
        return None

    async def _still_ours(self, epoch: int) -> bool:
        """Whether a statement of that epoch was refused only because the lease had run out; it is taken anew then, with a new epoch."""
        if self.line.epoch == epoch:
            await self.journal.renew()
        return self.line.epoch != epoch


async def _shifted(events: AsyncIterator[Event], partial: Partial) -> AsyncIterator[Event]:
    """The events of a continued answer, their block indexes following the blocks that are there already.

    The first text block of the continuation goes on in the text block that was open.
    """
    base = len(partial.blocks)
    joined = base > 0 and partial.blocks[-1]["type"] == "text" and not partial.closed[-1]
    async for event in events:
        if base and isinstance(event, BlockStart | BlockDelta | BlockStop):
            if joined and isinstance(event, BlockStart) and event.index == 0:
                continue
            event.index += base - joined
        yield event


def _ask_for_title(thread_id: UUID) -> None:
    try:
        current_app.send_task("threads.name_thread", [str(thread_id)], retry=False)
    except BrokerError as error:  # a sweeper finds the thread later
        logger.warning("title of %s not asked for: %s", thread_id, type(error).__name__)


def _whole(seconds: float | None) -> int | None:
    """For people and headers: never shorter than what was asked for, and never nothing."""
    return None if seconds is None else max(1, math.ceil(seconds))


def _has_text(content: list[Block]) -> bool:
    return any(block["type"] == "text" and block["text"].strip() for block in content)
