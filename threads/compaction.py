"""Making room: when the history nears the model's window, what is old is summarised, once, into a row beside the messages.

The model is sent the summary and what follows its cutoff; people, listings and exports keep everything. The cutoff lies
between turns, so no tool call loses its result and no signed thought its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from django.db import transaction
from django.utils import timezone

from chatai.lib import hints
from threads.blocks import Block, text_of
from threads.history import CHARS_PER_TOKEN, begins_turn
from threads.models import Compaction, Message, Thread, Turn
from threads.refusals import missing

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import User

FULL = 0.8  # of the room for history: then it is time
KEPT = 0.3  # of the room: what stays word for word
SUMMARY_TOKENS = 1500
EXCERPT = 8000  # characters of one message that the summary is made from

SYSTEM = (
    "Summarise the conversation so far for the model that will continue it. Keep every fact, name, number, decision, preference, open "
    "question and piece of code that later messages may refer to. Write in the conversation's language, as notes, without an introduction."
)
LEAD_IN = "The conversation so far, summarised (its beginning is left out here):\n\n"


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One message of the path, as the model will be sent it."""

    seq: int
    role: str
    content: list[Block]

    @property
    def size(self) -> int:
        """Characters, the measure of `history.build`."""
        return len(msgspec.json.encode(self.content))


def cutoff(rows: list[HistoryRow], room: int) -> int | None:
    """The sequence number up to which `rows` (oldest first) should be summarised so that they fit `room` characters; None: not yet.

    The newest question always stays.
    """
    if sum(row.size for row in rows) <= room * FULL:
        return None
    kept, wanted = 0, None
    for place in range(len(rows) - 1, 0, -1):
        kept += rows[place].size
        if kept > room * KEPT and wanted is not None:
            break
        if begins_turn(rows[place].role, rows[place].content):
            wanted = rows[place - 1].seq
    return wanted


def request_text(before: str, rows: list[HistoryRow]) -> str:
    """What the summary is made from: an earlier summary and the messages since."""
    said = (f"{row.role}: {text_of(row.content)[:EXCERPT]}" for row in rows)
    return "\n\n".join([before, *said] if before else said)


def as_message(summary: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": LEAD_IN + summary}]}


def room_for_history(context_window: int, max_tokens: int) -> int:
    """Characters of history that fit beside the output."""
    return max(context_window - max_tokens, context_window // 4) * CHARS_PER_TOKEN


def current(thread: Thread) -> Compaction | None:
    """The summary in force: the newest that is not undone and whose cutoff lies on the path."""
    made = Compaction.objects.filter(thread=thread, undone_at=None).order_by("-through_seq")
    ends = {one.through_seq: one for one in reversed(made)}
    if not ends:  # as nearly always; one statement for both would read every message of a long thread
        return None
    on_path = Message.objects.filter(thread=thread, on_path=True, seq__in=ends).order_by("-seq")
    return ends.get(on_path.values_list("seq", flat=True).first() or 0)


def undo(user: User, compaction_id: UUID) -> UUID:
    """Send the whole history again (as much as fits); the thread is not summarised up to there a second time. The thread's id."""
    mine = Compaction.objects.filter(pk=compaction_id, thread__in=Thread.objects.for_user(user))
    thread_id = mine.values_list("thread_id", flat=True).first()
    if thread_id is None:
        raise missing()
    now = timezone.now()
    with transaction.atomic():
        if mine.filter(undone_at=None).update(undone_at=now):
            # Pages draw the marker at another turn now, or nowhere.
            ends = Compaction.objects.filter(thread=thread_id).values("through_seq")
            Turn.objects.filter(messages__in=Message.objects.filter(thread=thread_id, seq__in=ends)).update(changed_at=now)
    hints.announce("live", "threads", thread_id)
    return thread_id
