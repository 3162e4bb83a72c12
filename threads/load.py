"""Admission control: past the capacity a send is refused at once, so that running answers stay smooth."""

import time
from typing import Any

from django.conf import settings
from psycopg import AsyncConnection

from chatai.lib import prepared

LOOK_EVERY = 1.0  # seconds between counts of the queue
RETRY_AFTER = 5  # seconds
QUEUED = "SELECT count(*) FROM (SELECT 1 FROM threads_turn WHERE status = 'queued' LIMIT %s) waiting"

_looked_at = 0.0
_full = False


def queue_is_full() -> bool:
    """Whether MAX_QUEUED_TURNS are waiting; counted at most once a second per process, on a partial index."""
    if _is_due():
        _note(prepared.row(QUEUED, [settings.MAX_QUEUED_TURNS]))
    return _full


async def queue_is_full_for(connection: AsyncConnection[Any]) -> bool:
    """The same on the event loop."""
    if _is_due():
        _note(await (await connection.execute(QUEUED, [settings.MAX_QUEUED_TURNS], prepare=True)).fetchone())
    return _full


def _is_due() -> bool:
    global _looked_at
    now = time.monotonic()
    if now - _looked_at <= LOOK_EVERY:
        return False
    _looked_at = now
    return True


def _note(found: tuple[int, ...] | None) -> None:
    global _full
    _full = found is not None and found[0] >= settings.MAX_QUEUED_TURNS
