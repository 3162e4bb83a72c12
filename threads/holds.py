"""Holds that nobody will settle: of turns that ended without their process, and of calls whose process died."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import connection, transaction

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
"""
OLDEST = f"{LOST} ORDER BY r.lease_until LIMIT %s"
ONE = f"{LOST} AND r.id = %s"
LOCK = "SELECT 1 FROM threads_turn WHERE id = %s FOR SHARE"


def free_lost() -> int:
    """Give back what is held for nothing; how many holds."""
    with connection.cursor() as cursor:
        cursor.execute(OLDEST, [AT_ONCE])
        lost = [hold_id for (hold_id,) in cursor.fetchall()]
    freed = sum(map(free, lost))
    if freed:
        logger.warning("%s holds freed that nobody had settled", freed)
    return freed


def free(hold_id: UUID) -> bool:
    """Give this hold back if it is still lost: since it was found, a deletion may have been undone and the turn claimed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK, [hold_id])  # no claim passes that
        cursor.execute(ONE, [hold_id])
        return cursor.fetchone() is not None and release(hold_id, "expired")
