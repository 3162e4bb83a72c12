"""A turn's events for one reader who wants all of them: what SSE sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID

from threads.live.tailer import Tailer
from threads.models import Turn

DONE = '{"type":"qlaud.done"'


class Follower:
    """Reads one turn's journal from `next_index` on, through the tailer."""

    def __init__(self, turn_id: UUID, ring: int, next_index: int) -> None:
        self.turn_id = turn_id
        self.ring = ring
        self.next_index = next_index
        self.ended = False
        self._fresh: list[tuple[int, str]] = []
        self._rung = asyncio.Event()

    def feed(self, payloads: list[str]) -> None:
        self._fresh += enumerate(payloads, self.next_index)
        self.next_index += len(payloads)
        self.ended = self.ended or any(payload.startswith(DONE) for payload in payloads)
        self._rung.set()

    async def batch(self, patience: float) -> list[tuple[int, str]]:
        """Events that have come, at least one; none when `patience` seconds brought nothing."""
        try:
            async with asyncio.timeout(patience):
                await self._rung.wait()
        except TimeoutError:
            return []
        self._rung.clear()
        fresh, self._fresh = self._fresh, []
        return fresh


async def follow(tailer: Tailer, turn: Turn, after: int, patience: float) -> AsyncGenerator[list[tuple[int, str]]]:
    """Batches of (index, payload) behind index `after` until the end; an empty one after each `patience` seconds of silence."""
    assert turn.ring is not None
    follower = Follower(turn.pk, turn.ring, after + 1)
    async with tailer.reading(follower):
        while True:
            batch = await follower.batch(patience)
            yield batch
            if follower.ended and not follower._fresh:
                return
