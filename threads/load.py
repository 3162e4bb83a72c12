"""Admission control: past the capacity a send is refused at once, so that running answers stay smooth."""

import time

from django.conf import settings

from threads.models import Turn

LOOK_EVERY = 1.0  # seconds between counts of the queue
RETRY_AFTER = 5  # seconds

_looked_at = 0.0
_full = False


def queue_is_full() -> bool:
    """Whether MAX_QUEUED_TURNS are waiting; counted at most once a second per process, on a partial index."""
    global _looked_at, _full
    now = time.monotonic()
    if now - _looked_at > LOOK_EVERY:
        _looked_at = now
        _full = Turn.objects.filter(status=Turn.Status.QUEUED)[: settings.MAX_QUEUED_TURNS].count() >= settings.MAX_QUEUED_TURNS
    return _full
