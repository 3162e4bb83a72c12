"""One turn from claim to finish: stream the answer into the journal, carry out what it asks for, go on with that, store the end."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings

from chatai.lib import hints
from threads.blocks import BlockDelta, BlockStart, BlockStop, Event, MessageStart, load_event
from threads.providers.base import ModelInfo, ProviderError
from threads.replies import results, store
from threads.replies.claims import SUSPECT_FROM
from threads.replies.context import Context
from threads.replies.continuation import following, open_text
from threads.replies.ending import Ending, ask_for_title, finish_values, last_events
from threads.replies.journal import Journal, Line
from threads.replies.loop import Loop
from threads.replies.purse import Purse
from threads.replies.scribe import Lost, Scribe

if TYPE_CHECKING:
    from threads.blocks import Partial
    from threads.providers.base import Provider, Request
    from threads.replies.claims import Claimed
    from threads.replies.meter import Meter
    from tools.values import Outcome

logger = logging.getLogger(__name__)

INTERRUPTED = "The answer was cut off by a restart. What had arrived is kept."
GAVE_UP = "The answer could not be written after several attempts. Please try again."
TOO_LONG = "The answer took longer than this server allows. What had arrived is kept."
FAULT = "Something went wrong on our side while writing this answer. It has been logged."


class LiveTurn:
    """A turn this process is working on."""

    def __init__(self, claimed: Claimed, info: ModelInfo, provider: Provider, journal: Journal, context: Context):
        self.claimed = claimed
        self.info = info
        self.provider = provider
        self.journal = journal
        self.context = context
        self.line = Line(claimed.id, claimed.ring, claimed.epoch)
        self.scribe = Scribe(claimed, context.pool, journal, self.line)
        self.purse = Purse(claimed, self.scribe)
        self.loop = Loop(self.scribe, self.purse, info)
        self.task: asyncio.Task[None] | None = None
        self.why_cancelled: Literal["stop", "lost", "drain"] | None = None
        self.finishing = False
        self.followed = False  # when it has ended, the next one of its thread can start

    @property
    def partial(self) -> Partial:
        """The message that is written now."""
        return self.loop.partial

    @property
    def suspect(self) -> bool:
        """It may be what ended the processes before."""
        return self.claimed.attempts - self.claimed.waits > SUSPECT_FROM

    def cancel(self, why: Literal["stop", "lost", "drain"]) -> None:
        if why == "stop" and self.finishing:
            return  # it ends by itself, and sooner than whoever would take it over
        if self.task is not None and self.why_cancelled is None:
            self.why_cancelled = why
            if why == "stop":  # what has arrived by now is shown and paid for
                self.journal.release(self.line)
                asyncio.get_running_loop().call_soon(self._break_off)
            else:
                self.task.cancel()

    def _break_off(self) -> None:
        if self.task is not None and not self.finishing:
            self.task.cancel()

    async def run(self) -> None:
        """Work until the turn is finished, lost to another process, handed back, or left to wait for a person."""
        self.line.lost = lambda: self.cancel("lost")
        self.journal.open(self.line)
        try:
            ending, error = await self._answer()
            self.finishing = True
            if ending is not None:
                await self._finish(ending, error)
        except Lost:
            logger.warning("turn %s belongs to another process", self.claimed.id)
        finally:
            self.journal.close(self.line)

    async def _answer(self) -> tuple[Ending | None, ProviderError | None]:
        try:
            async with asyncio.timeout(settings.MAX_TURN_SECONDS):
                if self.claimed.epoch > 1 and not await self._pick_up():
                    return self._unfinished(), ProviderError("cut", INTERRUPTED if self._begun else GAVE_UP, True)
                if self.claimed.stop_requested_at is not None:
                    return "stopped", None
                await self.loop.open()
                await self._stream()
                while await self.loop.goes_on():
                    await self._stream()
            return (None if self.loop.left else "done"), None
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
        except Lost:
            raise
        except Exception:
            # A fault of ours must end in a stored state that the person sees, not in a turn that runs for ever.
            logger.exception("turn %s failed", self.claimed.id)
            return self._unfinished(), ProviderError("server", FAULT, True)

    @property
    def _begun(self) -> bool:
        """Whether the person has seen anything of the answer."""
        return self.partial.shown or self.loop.iteration > 1

    def _unfinished(self) -> Ending:
        return "interrupted" if self._begun else "failed"

    async def _pick_up(self) -> bool:
        """Rebuild what an earlier attempt left in the journal. False: the turn must end with what is there."""
        rows = await self.scribe.read(lambda connection: store.events(connection, self.claimed.ring, self.claimed.id))
        events = [(epoch, load_event(payload)) for epoch, payload in rows]
        self.purse.recall(events)
        for _, event in events:
            self.loop.recall(event)
            self.line.outline.add(event)
        self.line.index = len(events)
        try:
            await self.loop.open()
        finally:  # a turn whose tools are gone still has calls to close
            await self.loop.restore()
        if self.claimed.attempts - self.claimed.waits > settings.MAX_ATTEMPTS:
            return False
        if self.partial.stop_reason is not None and all(self.partial.closed):
            return True  # what it asked for, or only the finishing, was missing
        if not self.partial.shown:
            return True
        return self.info.prefill and open_text(self.partial) is not None

    async def _stream(self) -> None:
        if self.partial.stop_reason is not None:
            return
        request = await self.purse.cover(await self._request())
        batches = self.provider.stream(request)
        meter, fits = self.purse.begin(), following(self.partial)
        try:
            async for events in batches:
                for event in events:
                    if fits(event):
                        self._take(event, meter)
                if self.loop.first_token_at is not None and self.partial.stop_reason is None:
                    await self.journal.pace(self.line)
        except asyncio.CancelledError:
            meter.asked = True  # it was sent, and who stops an answer before its first word still owes for the question
            raise
        finally:
            await batches.aclose()  # type: ignore[attr-defined]

    def _take(self, event: Event, meter: Meter) -> None:
        """An event of the provider."""
        meter.add(event)
        match event:
            case BlockDelta() if self.loop.first_token_at is None:
                self.loop.first_token_at = datetime.now(UTC)
            case MessageStart() if self.partial.started:
                return
            case BlockStart(_, block) if block["type"] == "tool_use":
                self.loop.name(block)
        self.partial.add(event)
        self.journal.append(self.line, event)

    async def _request(self) -> Request:
        request = await self.context.request(self.claimed, self.info, self.partial, self.loop.definitions)
        return replace(request, options=self.loop.choice(request.options)) if request.tools else request

    async def _finish(self, ending: Ending, error: ProviderError | None) -> None:
        """Everything of the end in one transaction; once PostgreSQL is there, however long that takes."""
        for index, closed in enumerate(self.partial.closed):
            if not closed and self.partial.blocks[index]["type"] != "tool_use":  # a call that broke off is none
                self.journal.append(self.line, BlockStop(index))
        await self._close_calls(results.STOPPED if ending == "stopped" else results.ENDED)
        events: list[Event] = await self.journal.take(self.line)
        content = self.partial.content()
        cost = self.purse.cost() + self.purse.tools_cost
        events += last_events(ending, error, self.claimed, cost, self.loop.iteration, self.loop.last)
        for event in events:
            self.line.outline.add(event)
        values = finish_values(
            ending, error, self.claimed, self.purse, self.info.provider, content, self.line, events, self.loop.first_token_at
        )
        values |= {"stop_reason": self.partial.stop_reason or "", "iterations": self.loop.iteration, "hit_max_iterations": self.loop.last}
        await self._store(values)

    async def _close_calls(self, outcome: Outcome) -> None:
        try:
            await self.loop.close(outcome)
        except Lost:
            raise
        except Exception:
            # A turn that cannot be ended would be taken over for ever; adapters answer the calls in its place.
            logger.exception("turn %s: its calls were not closed", self.claimed.id)

    async def _store(self, values: dict[str, Any]) -> None:
        worth_title, self.followed = await self.scribe.write(lambda connection, given: store.finish(connection, values | given))
        hints.announce("live", "turns", f"{self.claimed.thread_id}/{self.claimed.id}")
        if worth_title:
            await asyncio.to_thread(ask_for_title, self.claimed.thread_id)
