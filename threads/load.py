"""Admission control: past the capacity a send is refused at once, so that running answers stay smooth."""

import time

from django.conf import settings

from chatai.lib import prepared

LOOK_EVERY = 1.0  # seconds between counts of the queue
RETRY_AFTER = 5  # seconds
QUEUED = "SELECT count(*) FROM (SELECT 1 FROM threads_turn WHERE status = 'queued' LIMIT %s) waiting"

_looked_at = 0.0
_full = False


def queue_is_full() -> bool:
    """Whether MAX_QUEUED_TURNS are waiting; counted at most once a second per process, on a partial index."""
    global _looked_at, _full
    now = time.monotonic()
    if now - _looked_at > LOOK_EVERY:
        _looked_at = now
        found = prepared.row(QUEUED, [settings.MAX_QUEUED_TURNS])
        _full = found is not None and found[0] >= settings.MAX_QUEUED_TURNS
    return _full
