"""Holds that nobody will settle: of turns that ended without their process, and of calls whose process died."""

from __future__ import annotations

import logging

from django.db import connection

from billing.actions import release

logger = logging.getLogger(__name__)

AT_ONCE = 1000

# A turn that still waits or runs keeps its hold however long that takes: whoever answers it settles it. One of a deleted thread
# waits for nothing; should the deletion be undone, its call takes a hold anew.
LOST = """
SELECT r.id FROM billing_reservation r
LEFT JOIN threads_turn t ON t.id = r.id
LEFT JOIN threads_thread th ON th.id = t.thread_id
WHERE r.state = 'held' AND r.lease_until < now()
  AND coalesce(NOT (t.status IN ('running', 'waiting') OR (t.status = 'queued' AND th.deleted_at IS NULL)), true)
ORDER BY r.lease_until LIMIT %s
"""


def free_lost() -> int:
    """Give back what is held for nothing; how many holds."""
    with connection.cursor() as cursor:
        cursor.execute(LOST, [AT_ONCE])
        lost = [hold_id for (hold_id,) in cursor.fetchall()]
    freed = sum(release(hold_id, "expired") for hold_id in lost)
    if freed:
        logger.warning("%s holds freed that nobody had settled", freed)
    return freed
