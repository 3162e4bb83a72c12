"""The turns that one process was given as they were admitted: heard of by hints or found, and each of them taken once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from uuid import UUID

from chatai.lib.link import Link, living
from chatai.lib.postgres import conninfo
from threads.replies import claims
from threads.starting import GIVEN_SECONDS


class Given:
    """Methods raise psycopg.OperationalError while PostgreSQL is away; what was heard by then is found again."""

    def __init__(self, runner: str) -> None:
        self.runner = runner
        self.link: Link | None = None
        self.heard: set[UUID] = set()
        self.taken: dict[UUID, float] = {}  # and when, for as long as they could be taken again
        self.leased: set[UUID] = set()  # of these, those that may still have the short lease they came with

    def hear(self, names: Iterable[str]) -> bool:
        """Of a hint: "runner/turn" of turns that were given away; whether any is ours."""
        ours = {UUID(turn) for runner, _, turn in (name.rpartition("/") for name in names) if runner == self.runner}
        self.heard |= ours
        return bool(ours)

    async def look(self) -> None:
        """Hints may be lost."""
        self.heard |= await claims.left(await self._link(), self.runner)

    async def take(self, most: int) -> list[claims.Claimed]:
        """Up to so many of them, the oldest first. Never called twice at once: taking writes nothing, so that one is quick."""
        self.heard -= self.taken.keys()
        wanted = sorted(self.heard)[:most]
        if not wanted:
            return []
        claimed = await claims.take(await self._link(), self.runner, wanted)
        self.heard.difference_update(wanted)
        now = time.monotonic()
        self.taken = {turn_id: at for turn_id, at in self.taken.items() if now - at < 2 * GIVEN_SECONDS}
        self.taken.update((turn.id, now) for turn in claimed)
        self.leased.update(turn.id for turn in claimed)
        return claimed

    def to_renew(self) -> set[UUID]:
        """Those taken since the last time: if they are still at work they need a lease like any other turn."""
        leased, self.leased = self.leased, set()
        return leased

    async def close(self) -> None:
        if self.link is not None:
            await self.link.close()

    async def _link(self) -> Link:
        self.link = await living(self.link, conninfo("chatai-given"))
        return self.link
