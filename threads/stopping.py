"""Stopping: a turn that runs is asked to end; one that still waits ends here, as if it had been stopped before its first word.

What was asked stays in the history either way, so that it makes no difference whether *stop* comes before or after the claim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from billing.actions import release
from chatai.lib import hints
from threads import approvals, branches
from threads.blocks import text_of
from threads.models import Message, Thread, Turn
from threads.outline import Mark
from threads.refusals import Refused, missing

if TYPE_CHECKING:
    from accounts.models import User

# Only the first in line, and not behind one that runs, which may need further numbers: they are handed out in the order in which
# questions were asked.
END = """
WITH turn AS (
    UPDATE threads_turn t SET status = 'stopped', first_seq = th.last_seq + 1, finished_at = now(), changed_at = now(),
        outline = %(outline)s
    FROM threads_thread th
    WHERE t.id = %(turn)s AND t.status = 'queued' AND th.id = t.thread_id AND th.active_turn_id IS NULL AND NOT EXISTS (
        SELECT 1 FROM threads_turn q WHERE q.thread_id = t.thread_id AND q.status = 'queued' AND q.number < t.number)
    RETURNING t.id, t.thread_id, t.first_seq
), messages AS (
    UPDATE threads_message m SET seq = turn.first_seq + CASE m.role WHEN 'user' THEN 0 ELSE 1 END,
        status = CASE m.role WHEN 'user' THEN m.status ELSE 'stopped' END
    FROM turn WHERE m.turn_id = turn.id AND m.seq IS NULL
), outbox AS (
    INSERT INTO threads_outbox (turn_id, kind, created_at) SELECT id, 'index', now() FROM turn
)
UPDATE threads_thread th SET last_seq = turn.first_seq + 1, last_active_at = now(), changed_at = now()
FROM turn WHERE th.id = turn.thread_id
"""


def request_stop(turn_id: UUID) -> None:
    """Ask a turn to end that runs, or that waits for a person: it runs once more for that. For others there is nothing to do."""
    now = timezone.now()
    if Turn.objects.filter(pk=turn_id, status=Turn.Status.RUNNING, stop_requested_at=None).update(stop_requested_at=now):
        transaction.on_commit(lambda: hints.announce("replies", "stop", turn_id))
    else:
        approvals.go_on(turn_id, stop_requested_at=now)


def end_queued(thread: Thread, turn_id: UUID) -> bool:
    """End a turn that waits and is the first in line; whether it was. The thread's row is locked, which keeps claims away."""
    with connection.cursor() as cursor:
        cursor.execute(END, {"turn": turn_id, "outline": bytes([Mark.DONE])})
        ended: bool = cursor.rowcount == 1
    if ended:
        release(turn_id)
        transaction.on_commit(lambda: hints.announce("live", "threads", thread.pk))
        transaction.on_commit(lambda: hints.announce("replies", "work"))  # the next in line may start
    return ended


def stop_first(user: User, thread_id: UUID, before: int | None = None) -> None:
    """Stop the turn that is answered now or would be next, if its number is below `before`. Raises Refused."""
    with transaction.atomic():
        thread = branches.locked(user, thread_id)
        if thread.active_turn_id is None:
            first = Turn.objects.filter(thread=thread, status=Turn.Status.QUEUED).order_by("number").first()
            if first is not None and (before is None or first.number < before):
                end_queued(thread, first.pk)
            return
    if before is None or Turn.objects.filter(pk=thread.active_turn_id, number__lt=before).exists():
        request_stop(thread.active_turn_id)


def stop_turn(user: User, turn: Turn) -> None:
    """End one turn: running, it is asked to stop; next in line, it ends at once; behind others, it leaves; over, it stays so."""
    with transaction.atomic():
        thread = branches.locked(user, turn.thread_id)
        turn.refresh_from_db()
        if turn.status == Turn.Status.QUEUED and not end_queued(thread, turn.pk):
            withdraw(user, turn.pk)
    request_stop(turn.pk)
    turn.refresh_from_db()


def withdraw(user: User, turn_id: UUID) -> str:
    """Take back a message that is still queued; its text is returned so that it can be edited."""
    turn = Turn.objects.for_user(user).filter(pk=turn_id).first()
    if turn is None:
        raise missing()
    with transaction.atomic():
        branches.locked(user, turn.thread_id)
        now = timezone.now()
        taken = Turn.objects.filter(pk=turn_id, status=Turn.Status.QUEUED)
        if taken.update(status=Turn.Status.STOPPED, finished_at=now, changed_at=now, on_path=False) != 1:
            raise Refused(409, "conflict_error", "This message is already being answered.")
        Turn.objects.filter(parent_id=turn_id).update(parent_id=turn.parent_id)
        waiting = Message.objects.filter(turn_id=turn_id, seq=None)
        text = text_of([block for message in waiting.filter(role="user") for block in message.content])
        waiting.delete()
        branches.resume(turn)
        release(turn_id)
        Thread.objects.filter(pk=turn.thread_id).update(changed_at=now)
        transaction.on_commit(lambda: hints.announce("live", "threads", turn.thread_id))
    return text
