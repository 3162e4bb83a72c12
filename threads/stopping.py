"""Stopping: a turn that runs is asked to end; one that still waits ends here, as if it had been stopped before its first word.

What was asked stays in the history either way, so that it makes no difference whether *stop* comes before or after the claim.
"""

from __future__ import annotations

from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from chatai.lib import hints
from threads.models import Thread, Turn
from threads.outline import Mark

# Only the first in line: sequence numbers are handed out in the order in which questions were asked.
END = """
WITH turn AS (
    UPDATE threads_turn t SET status = 'stopped', first_seq = th.last_seq + 1, finished_at = now(), changed_at = now(),
        outline = %(outline)s
    FROM threads_thread th
    WHERE t.id = %(turn)s AND t.status = 'queued' AND th.id = t.thread_id AND NOT EXISTS (
        SELECT 1 FROM threads_turn q WHERE q.thread_id = t.thread_id AND q.status = 'queued' AND q.number < t.number)
    RETURNING t.id, t.thread_id, t.first_seq
), messages AS (
    UPDATE threads_message m SET seq = turn.first_seq + CASE m.role WHEN 'user' THEN 0 ELSE 1 END,
        status = CASE m.role WHEN 'user' THEN m.status ELSE 'stopped' END
    FROM turn WHERE m.turn_id = turn.id AND m.seq IS NULL
)
UPDATE threads_thread th SET last_seq = turn.first_seq + 1, last_active_at = now(), changed_at = now()
FROM turn WHERE th.id = turn.thread_id
"""


def request_stop(turn_id: UUID) -> None:
    """Ask a running turn to end; for one that is not running there is nothing to do."""
    running = Turn.objects.filter(pk=turn_id, status=Turn.Status.RUNNING, stop_requested_at=None)
    if running.update(stop_requested_at=timezone.now()):
        transaction.on_commit(lambda: hints.announce("replies", "stop", turn_id))


def end_queued(thread: Thread, turn_id: UUID) -> bool:
    """End a turn that waits and is the first in line; whether it was. The thread's row is locked, which keeps claims away."""
    with connection.cursor() as cursor:
        cursor.execute(END, {"turn": turn_id, "outline": bytes([Mark.DONE])})
        ended: bool = cursor.rowcount == 1
    if ended:
        transaction.on_commit(lambda: hints.announce("live", "threads", thread.pk))
        transaction.on_commit(lambda: hints.announce("replies", "work"))  # the next in line may start
    return ended


def stop_first(thread: Thread, before: int | None = None) -> None:
    """Stop the turn that is answered now or would be next, if its number is below `before`. The thread's row is locked."""
    if thread.active_turn_id is not None:
        first = Turn.objects.filter(pk=thread.active_turn_id).first()
    else:
        first = Turn.objects.filter(thread=thread, status=Turn.Status.QUEUED).order_by("number").first()
    if first is None or (before is not None and first.number >= before):
        return
    if first.status == Turn.Status.QUEUED:
        end_queued(thread, first.pk)
    else:
        request_stop(first.pk)
