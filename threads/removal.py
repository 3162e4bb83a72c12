"""Deleting part of a conversation: a turn and what follows it leave the path, can come back for a while, and then are erased."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from chatai.lib import hints
from threads import branches
from threads.models import Turn
from threads.refusals import missing

if TYPE_CHECKING:
    from accounts.models import User

FOLLOWING = """
WITH RECURSIVE gone AS (
    SELECT id FROM threads_turn WHERE id = ANY(%s)
    UNION SELECT t.id FROM threads_turn t JOIN gone ON t.parent_id = gone.id
)
SELECT id FROM gone
"""
ERASE_JOURNAL = "DELETE FROM threads_turnevent e USING threads_turn t WHERE t.id = ANY(%s) AND e.ring = t.ring AND e.turn_id = t.id"


def delete_turn(user: User, turn_id: UUID) -> None:
    """Gone from every view at once; where the turn has another version, that one is read now. Raises Refused while one is answered."""
    turn = _turn(user, turn_id)
    now = timezone.now()
    with transaction.atomic(), connection.cursor() as cursor:
        branches.refuse_busy(branches.locked(user, turn.thread_id))
        turn.refresh_from_db()
        if turn.on_path:
            cursor.execute(branches.LEAVE, {"thread": turn.thread_id, "number": turn.number})
        Turn.objects.filter(pk=turn_id, deleted_at=None).update(deleted_at=now, changed_at=now)
        branches.resume(turn)
        transaction.on_commit(lambda: hints.announce("live", "threads", turn.thread_id))


def undo_delete_turn(user: User, turn_id: UUID) -> None:
    """Read it again, with what followed it."""
    turn = _turn(user, turn_id)
    with transaction.atomic():
        branches.refuse_busy(branches.locked(user, turn.thread_id))
        Turn.objects.filter(pk=turn_id).update(deleted_at=None)
        branches.switch(user, turn.thread_id, turn_id)
        transaction.on_commit(lambda: hints.announce("live", "threads", turn.thread_id))


def erase_turns(before: datetime, most: int) -> int:
    """Erase what was deleted before that moment, with all that followed it; how many turns. Images and documents go with the thread."""
    old = Turn.objects.filter(deleted_at__lt=before).select_for_update(skip_locked=True)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(FOLLOWING, [list(old.values_list("pk", flat=True)[:most])])
        doomed = [turn_id for (turn_id,) in cursor.fetchall()]
        if doomed:
            cursor.execute(ERASE_JOURNAL, [doomed])
            Turn.objects.filter(pk__in=doomed).delete()
    return len(doomed)


def _turn(user: User, turn_id: UUID) -> Turn:
    turn = Turn.objects.for_user(user).filter(pk=turn_id, first_seq__isnull=False).first()
    if turn is None:
        raise missing()
    return turn
