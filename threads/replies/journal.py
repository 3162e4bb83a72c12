"""Durable before visible: events of all live turns go to PostgreSQL in one insert per tick, and only then does anyone hear of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import psycopg
from django.conf import settings

from chatai.lib import hints
from chatai.lib.link import Link, living
from chatai.lib.postgres import array, text_array
from threads.blocks import BlockDelta, Event, InputJsonDelta, TextDelta, ThinkingDelta, dump_event
from threads.outline import Outline
from threads.replies import store

if TYPE_CHECKING:
    from uuid import UUID

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

QUIET_TICK = 0.040  # seconds between inserts when few turns are live
TICK_PER_TURN = 0.003  # seconds more for each live turn: more turns per insert instead of more inserts
LONGEST_TICK = 0.400
GAP_PER_TURN, LONGEST_GAP = 0.0004, 0.040  # seconds between any two inserts, for each live turn and at most
AT_ONCE = 64  # turns in one insert, or an eighth of them all: who reads them draws them all at once, and nothing else meanwhile
FEW = 4  # live turns that read as they like
IDLE_AFTER = 0.4  # seconds; what a turn says after such a pause is written at once


class Line:
    """The journal of one turn, as its writer holds it."""

    __slots__ = ("epoch", "index", "lost", "outline", "pending", "ring", "turn_id", "written_at")

    def __init__(self, turn_id: UUID, ring: int, epoch: int, index: int = 0) -> None:
        self.turn_id = turn_id
        self.ring = ring
        self.epoch = epoch
        self.index = index  # of the next event
        self.pending: list[Event] = []
        self.outline = Outline()
        self.written_at = 0.0
        self.lost: Callable[[], None] = lambda: None  # called when the turn belongs to somebody else

    def add(self, event: Event) -> None:
        """Append, merging a delta into the one before it: what has already arrived becomes one event."""
        if self.pending and isinstance(event, BlockDelta) and _merge(self.pending[-1], event):
            return
        self.pending.append(event)


def _merge(last: Event, event: BlockDelta) -> bool:
    if not isinstance(last, BlockDelta) or last.index != event.index:
        return False
    match last.delta, event.delta:
        case TextDelta(), TextDelta():
            last.delta.text += event.delta.text
        case ThinkingDelta(), ThinkingDelta():
            last.delta.thinking += event.delta.thinking
        case InputJsonDelta(), InputJsonDelta():
            last.delta.partial_json += event.delta.partial_json
        case _:
            return False
    return True


class Journal:
    """One writer per process, with a connection of its own. Lease renewals use it too, so that the two cannot deadlock."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.lines: dict[UUID, Line] = {}
        self.link: Link | None = None
        self.in_use = asyncio.Lock()
        self.dirty: set[UUID] = set()
        self.due: deque[UUID] = deque()  # those whose tick it is
        self.hasty: set[UUID] = set()  # of the dirty ones, those that do not wait for the tick
        self.wanted = asyncio.Event()
        self.urgent = asyncio.Event()
        self.ticked_at = 0.0
        self.wrote_at = 0.0
        self.waiters: list[tuple[Line, asyncio.Future[None]]] = []
        self.paced: dict[UUID, asyncio.Future[None]] = {}  # turns that read on when they are written
        self.away = False  # PostgreSQL is

    def open(self, line: Line) -> None:
        self.lines[line.turn_id] = line

    def close(self, line: Line) -> None:
        if self.lines.get(line.turn_id) is line:
            del self.lines[line.turn_id]
            self._clean(line)

    def _clean(self, line: Line) -> None:
        self.dirty.discard(line.turn_id)
        self.hasty.discard(line.turn_id)
        self.paced.pop(line.turn_id, None)

    async def pace(self, line: Line) -> None:
        """Wait for the line's turn to be written: what is read before would wait for it as well, and cost a wake-up for each token.

        Where there are few turns nothing is saved by it, and while PostgreSQL is away no provider shall have to wait.
        """
        if len(self.lines) > FEW and not self.away:
            gate = self.paced[line.turn_id] = asyncio.get_running_loop().create_future()
            self.wanted.set()
            await gate

    def release(self, line: Line) -> None:
        """Let the line's turn read now what has arrived."""
        if (gate := self.paced.pop(line.turn_id, None)) is not None and not gate.done():
            gate.set_result(None)

    def append(self, line: Line, event: Event) -> None:
        line.add(event)
        self.dirty.add(line.turn_id)
        self.wanted.set()
        if time.monotonic() - line.written_at > IDLE_AFTER:
            self._hurry(line)

    def _hurry(self, line: Line) -> None:
        self.hasty.add(line.turn_id)
        self.urgent.set()

    async def take(self, line: Line) -> list[Event]:
        """What is not written of `line`, for whoever writes it in place of the tick. Everything before it is committed."""
        async with self.in_use:  # an insert under way may hold events before these
            taken, line.pending = line.pending, []
            self._clean(line)
            return taken

    async def flush(self, line: Line) -> None:
        """Wait until everything appended to `line` is committed (or the turn is lost)."""
        if line.turn_id not in self.dirty and not line.pending:
            async with self.in_use:  # an insert under way may hold its last events
                return
        done = asyncio.get_running_loop().create_future()
        self.waiters.append((line, done))
        self.wanted.set()
        self._hurry(line)
        await done

    @property
    def tick(self) -> float:
        return min(LONGEST_TICK, QUIET_TICK + TICK_PER_TURN * len(self.lines))

    async def run(self) -> None:
        while True:
            await self.wanted.wait()
            pause = self.ticked_at + self.tick - time.monotonic()
            if pause > 0 and not self.due and not self.urgent.is_set():
                try:
                    async with asyncio.timeout(pause):
                        await self.urgent.wait()
                except TimeoutError:
                    pass
            await asyncio.sleep(self.wrote_at + min(LONGEST_GAP, GAP_PER_TURN * len(self.lines)) - time.monotonic())
            self.wanted.clear()
            self.urgent.clear()
            await self.write()
            if self.dirty or self.due or self.paced:
                self.wanted.set()

    async def write(self) -> None:
        """One insert with what a tick found pending (or the next part of that), and what cannot wait for its tick.

        Every write costs each watcher, so that there are few; with hundreds of turns they are spread over the time of a tick.
        """
        now = self.wrote_at = time.monotonic()
        if not self.due and now - self.ticked_at >= self.tick:
            self.ticked_at = now
            self.due.extend(self.dirty | self.paced.keys())
            self.dirty.clear()
        turns, self.hasty = self.hasty, set()
        self.dirty -= turns
        turns.update(self.due.popleft() for _ in range(min(len(self.due), max(AT_ONCE, len(self.lines) // 8))))
        waiters, self.waiters = self.waiters, []
        lines = [line for turn_id in turns if (line := self.lines.get(turn_id))]
        if not self.paced.keys().isdisjoint(turns):
            for line in lines:
                self.release(line)
            await asyncio.sleep(0)  # each reads what has arrived, and waits again
            self.dirty -= turns
            self.hasty -= turns
        if lines := [line for line in lines if line.pending]:
            async with self.in_use:
                await self._insert(lines, now)
            hints.announce("live", "events", *(line.turn_id for line in lines))
        for _, done in waiters:
            if not done.done():
                done.set_result(None)

    async def _insert(self, lines: list[Line], now: float) -> None:
        rows: list[tuple[Line, int, str]] = []
        for line in lines:
            pending, line.pending = line.pending, []
            line.written_at = now
            for event in pending:
                rows.append((line, line.index, dump_event(event)))
                line.outline.add(event)
                line.index += 1
        while rows:
            written = await self._retry(partial(_append, rows))
            if written == len(rows):
                return
            rows = await self._refused(rows)

    async def _refused(self, rows: list[tuple[Line, int, str]]) -> list[tuple[Line, int, str]]:
        """What is still to write when fewer rows went in than were given.

        Either an insert was repeated after a lost connection (nothing is left), or leases had run out: a turn that nobody took is
        taken anew under a higher epoch and written again, the others are given up.
        """
        before = {line: line.epoch for line, _, _ in rows}
        held = await self._renew({line.turn_id: line.epoch for line in before})
        for line in before:
            if line.turn_id not in held:
                line.lost()
        return [row for row in rows if row[0].turn_id in held and row[0].epoch != before[row[0]]]

    async def renew(self, turns: Collection[UUID] | None = None) -> None:
        """Extend the lease of every open line, or of those of `turns`; a line that belongs to somebody else by now is told so."""
        lines = [line for line in self.lines.values() if turns is None or line.turn_id in turns]
        if not lines:
            return
        async with self.in_use:
            held = await self._renew({line.turn_id: line.epoch for line in lines})
        for line in lines:
            if line.turn_id not in held and line.turn_id in self.lines:
                line.lost()

    async def _renew(self, epochs: dict[UUID, int]) -> dict[UUID, int]:
        held = await self._retry(lambda link: store.renew(link, settings.LEASE_SECONDS, epochs))
        for turn_id, epoch in held.items():
            if line := self.lines.get(turn_id):
                line.epoch = epoch
        return held

    async def _retry(self, attempt: Callable[[Link], Awaitable[Result]]) -> Result:
        """Until PostgreSQL answers: text that waits here has been shown to nobody, and every statement is safe to repeat."""
        while True:
            try:
                self.link = await living(self.link, self.conninfo)
                result = await attempt(self.link)
                self.away = False
                return result
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self.away = True
                for line in self.lines.values():
                    self.release(line)
                logger.warning("journal waits for PostgreSQL: %s", type(error).__name__)
                if self.link is not None:
                    await self.link.close()
                await asyncio.sleep(0.25)


async def _append(rows: list[tuple[Line, int, str]], link: Link) -> int:
    values = {
        "rings": array(line.ring for line, _, _ in rows),
        "turns": array(line.turn_id for line, _, _ in rows),
        "indexes": array(index for _, index, _ in rows),
        "epochs": array(line.epoch for line, _, _ in rows),
        "payloads": text_array(payload for _, _, payload in rows),
        "held": array({line.turn_id for line, _, _ in rows}),
    }
    return await link.run(store.APPEND, values)
