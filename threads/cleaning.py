"""What goes for good: deleted conversations, journals past their resume window, heartbeats of processes that are gone."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from threads.attachments import erase_of_threads
from threads.models import Runner, Thread, Turn, TurnEvent
from threads.removal import erase_turns
from threads.starting import RINGS, current_ring
from tools.rules import forget_chats

PURGE_AFTER = timedelta(minutes=9)  # deleted rows are gone within ten minutes (contract, decision 13)
PURGE_AT_ONCE = 200
RUNNER_GONE_AFTER = timedelta(hours=1)

ERASE_JOURNAL = """
DELETE FROM threads_turnevent e USING threads_turn t
WHERE t.thread_id = ANY(%s) AND e.ring = t.ring AND e.turn_id = t.id
"""


# A turn may wait for a person for a day; its journal goes along into the partition of now.
MOVE_WAITING = """
WITH waiting AS (
    SELECT id FROM threads_turn WHERE ring = %(ring)s AND status = 'waiting' FOR UPDATE
), events AS (
    INSERT INTO threads_turnevent (ring, turn_id, index, epoch, payload, created_at)
    SELECT %(now)s, e.turn_id, e.index, e.epoch, e.payload, e.created_at
    FROM threads_turnevent e JOIN waiting ON waiting.id = e.turn_id WHERE e.ring = %(ring)s
)
UPDATE threads_turn t SET ring = %(now)s, changed_at = now() FROM waiting WHERE t.id = waiting.id
"""


def purge_deleted() -> int:
    """Erase threads whose time for undo is over; how many. Running turns end first."""
    old = Thread.objects.filter(deleted_at__lt=timezone.now() - PURGE_AFTER, active_turn=None)
    with transaction.atomic(), connection.cursor() as cursor:
        ids = list(old.select_for_update(of=("self",), skip_locked=True).values_list("pk", flat=True)[:PURGE_AT_ONCE])
        if ids:
            erase_of_threads(ids)
            cursor.execute(ERASE_JOURNAL, [ids])
            forget_chats(ids)
            Thread.objects.filter(pk__in=ids).delete()
    return len(ids)


def purge_deleted_turns() -> int:
    """Erase turns whose time for undo is over; how many."""
    return erase_turns(timezone.now() - PURGE_AFTER, PURGE_AT_ONCE)


def empty_rings() -> list[int]:
    """TRUNCATE the journal partitions that nobody can ask for any more; which ones."""
    now_ring = current_ring()
    return [ring for ring in range(RINGS) if ring not in (now_ring, (now_ring + 1) % RINGS) and _empty(ring)]


def _empty(ring: int) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '500ms'")
            cursor.execute(f"LOCK TABLE threads_turnevent_{ring} IN ACCESS EXCLUSIVE MODE")
            wanted_since = timezone.now() - timedelta(seconds=settings.RESUME_WINDOW_SECONDS)
            turns = Turn.objects.filter(ring=ring)
            busy = turns.filter(finished_at=None).exclude(status=Turn.Status.WAITING)
            if busy.exists() or turns.filter(finished_at__gt=wanted_since).exists():
                return False
            if not TurnEvent.objects.filter(ring=ring).exists():
                return False
            cursor.execute(MOVE_WAITING, {"ring": ring, "now": current_ring()})
            if busy.exists():  # somebody has decided in between
                transaction.set_rollback(True)
                return False
            cursor.execute(f"TRUNCATE threads_turnevent_{ring}")
            return True
    except DatabaseError:  # in use right now; the next round comes
        return False


def forget_runners() -> int:
    return Runner.objects.filter(seen_at__lt=timezone.now() - RUNNER_GONE_AFTER).delete()[0]
