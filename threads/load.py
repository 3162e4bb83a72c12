"""Admission control: past the capacity a send is refused at once, so that running answers stay smooth."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.conf import settings

from chatai.lib import prepared
from chatai.lib.prepared import Statement

if TYPE_CHECKING:
    from chatai.lib.link import Link

LOOK_EVERY = 1.0  # seconds between counts of the queue
RETRY_AFTER = 5  # seconds
QUEUED = Statement("SELECT count(*) FROM (SELECT 1 FROM threads_turn WHERE status = 'queued' LIMIT %(most)s) waiting")

_looked_at = 0.0
_full = False


def queue_is_full() -> bool:
    """Whether MAX_QUEUED_TURNS are waiting; counted at most once a second per process, on a partial index."""
    if _is_due():
        _note(prepared.row(QUEUED, {"most": settings.MAX_QUEUED_TURNS}))
    return _full


async def queue_is_full_for(link: Link) -> bool:
    """The same on the event loop."""
    if _is_due():
        _note((await link.rows(QUEUED, {"most": settings.MAX_QUEUED_TURNS}))[0])
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
