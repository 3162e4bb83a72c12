"""What a turn writes besides its journal: statements that hold only as long as the turn is this process's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from threads.replies import store
from threads.replies.claims import Claimed

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

    from threads.blocks import Event
    from threads.replies.journal import Journal, Line

Result = TypeVar("Result")


class Lost(Exception):  # noqa: N818 - nobody is at fault
    """The turn belongs to another process."""


@dataclass(slots=True)
class Scribe:
    """The rows and the journal of one turn."""

    claimed: Claimed
    pool: AsyncConnectionPool[Any]
    journal: Journal
    line: Line

    def tell(self, event: Event) -> None:
        self.journal.append(self.line, event)

    async def read(self, work: Callable[[store.Connection], Awaitable[Result]]) -> Result:
        return await store.patiently(self.pool, work)

    async def write(self, work: Callable[[store.Connection, dict[str, Any]], Awaitable[Result | None]], **values: Any) -> Result:
        """Do `work`, which answers None when the turn is not ours; again when only the lease had run out. Raises Lost."""
        given = {"turn": self.claimed.id, "thread": self.claimed.thread_id, **values}
        while True:
            result = await store.patiently(self.pool, lambda connection: work(connection, given | {"epoch": self.line.epoch}))
            if result is not None:
                return result
            before = self.line.epoch
            await self.journal.renew()
            if self.line.epoch == before:
                raise Lost
