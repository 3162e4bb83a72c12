"""Siblings: another wording of a question, another answer to it. The path is what is read now; nothing is ever rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection, transaction

from chatai.lib import hints
from threads.models import Message, Thread, Turn
from threads.refusals import Refused, missing

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

    from accounts.models import User
    from threads.blocks import Block

LEAVE = """
WITH turns AS (
    UPDATE threads_turn SET on_path = false, changed_at = now()
    WHERE thread_id = %(thread)s AND on_path AND number >= %(number)s RETURNING id
)
UPDATE threads_message m SET on_path = false FROM turns WHERE m.turn_id = turns.id
"""

# From a turn up to the root, and down along the newest children: that is the path through it.
SWITCH = """
WITH RECURSIVE up AS (
    SELECT id, parent_id FROM threads_turn WHERE id = %(turn)s
    UNION ALL SELECT t.id, t.parent_id FROM threads_turn t JOIN up ON t.id = up.parent_id
), down AS (
    SELECT id FROM threads_turn WHERE id = %(turn)s
    UNION ALL SELECT c.id FROM down CROSS JOIN LATERAL (
        SELECT id FROM threads_turn WHERE parent_id = down.id AND first_seq IS NOT NULL AND deleted_at IS NULL ORDER BY number DESC LIMIT 1
    ) c
), path AS (SELECT id FROM up UNION SELECT id FROM down),
turns AS (
    UPDATE threads_turn t SET on_path = NOT t.on_path, changed_at = now()
    WHERE t.thread_id = %(thread)s AND t.on_path <> (t.id IN (SELECT id FROM path)) RETURNING t.id, t.on_path
)
UPDATE threads_message m SET on_path = turns.on_path FROM turns WHERE m.turn_id = turns.id
"""


def leave(cursor: CursorWrapper, user: User, thread_id: UUID, turn_id: UUID, request_id: str) -> None:
    """Take `turn_id` and all after it off the path, so that the next turn becomes its sibling. Inside a transaction.

    Does nothing when `request_id` was admitted before: a repetition changes nothing.
    """
    thread = locked(user, thread_id)
    if Turn.objects.filter(thread_id=thread_id, request_id=request_id).exists():
        return
    refuse_busy(thread)
    turn = Turn.objects.for_user(user).filter(pk=turn_id, thread_id=thread_id).first()
    if turn is None:
        raise missing()
    if not turn.on_path:
        raise Refused(409, "conflict_error", "The conversation has moved to another version. Switch back to this one first.")
    cursor.execute(LEAVE, {"thread": thread_id, "number": turn.number})


def switch(user: User, thread_id: UUID, turn_id: UUID) -> None:
    """Make the path go through `turn_id` and its newest continuation."""
    with transaction.atomic(), connection.cursor() as cursor:
        refuse_busy(locked(user, thread_id))
        if not Turn.objects.for_user(user).filter(pk=turn_id, thread_id=thread_id, first_seq__isnull=False, deleted_at=None).exists():
            raise missing()
        cursor.execute(SWITCH, {"thread": thread_id, "turn": turn_id})
    hints.announce("live", "threads", thread_id)


def question_of(user: User, turn_id: UUID) -> tuple[Turn, list[Block]]:
    """A turn and the blocks that were asked, for asking them again."""
    question = Message.objects.for_user(user).filter(turn=turn_id, role=Message.Role.USER).select_related("turn").order_by("seq").first()
    if question is None:
        raise missing()
    return question.turn, question.content


def reworded(question: list[Block], text: str) -> list[Block]:
    """The question with another text; images and documents stay where they were."""
    place = next((at for at, block in enumerate(question) if block["type"] == "text"), len(question))
    others = [block for block in question if block["type"] != "text"]
    return [*others[:place], {"type": "text", "text": text}, *others[place:]]


def resume(withdrawn: Turn) -> None:
    """Where a turn that stood instead of another is taken back or deleted, that other one and what followed are the path again."""
    here = Turn.objects.filter(thread_id=withdrawn.thread_id, parent_id=withdrawn.parent_id)
    if here.filter(on_path=True).exists():
        return
    left = here.filter(first_seq__isnull=False, deleted_at=None).order_by("-changed_at", "-number").first()
    if left is not None:
        with connection.cursor() as cursor:
            cursor.execute(SWITCH, {"thread": withdrawn.thread_id, "turn": left.pk})


def locked(user: User, thread_id: UUID) -> Thread:
    """The thread, its row locked until the transaction ends. Raises Refused."""
    thread = Thread.objects.for_user(user).select_for_update(of=("self",)).filter(pk=thread_id).first()
    if thread is None:
        raise missing()
    return thread


def lock_for(turn_id: UUID) -> None:
    """Lock the row of that turn's thread until the transaction ends, for whoever acts for nobody in particular."""
    Thread.objects.select_for_update(of=("self",)).filter(turns=turn_id).first()


def refuse_busy(thread: Thread) -> None:
    """Raises Refused while a turn of the thread runs or waits."""
    if thread.active_turn_id is not None or thread.turns.filter(status=Turn.Status.QUEUED).exists():
        raise Refused(409, "conflict_error", "An answer is being written. Stop it or wait for its end.")
