"""A page of history around one message: where a link to it opens, however long the thread is and in whichever version it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import connection

from threads import compaction
from threads.models import Message, Thread, Turn
from threads.paging import TurnPage, page_of_turns

if TYPE_CHECKING:
    from accounts.models import User

BESIDE = settings.PAGE_SIZE // 2  # messages (or turns of another version) shown on each side
REACH = 4 * settings.PAGE_SIZE  # messages: with no more than these behind it, all of them are shown and the conversation goes on there

# Up to the root and down along the newest children, as far as a page reaches.
VERSION = """
WITH RECURSIVE up AS (
    SELECT id, parent_id, 0 AS far FROM threads_turn WHERE id = %(turn)s
    UNION ALL SELECT t.id, t.parent_id, far + 1 FROM threads_turn t JOIN up ON t.id = up.parent_id WHERE far < %(most)s
), down AS (
    SELECT id, 0 AS far FROM threads_turn WHERE id = %(turn)s
    UNION ALL SELECT c.id, far + 1 FROM down CROSS JOIN LATERAL (
        SELECT id FROM threads_turn WHERE parent_id = down.id AND first_seq IS NOT NULL AND deleted_at IS NULL ORDER BY number DESC LIMIT 1
    ) c WHERE far < %(most)s
)
SELECT id, far FROM down UNION SELECT id, -far FROM up
"""


@dataclass(frozen=True, slots=True)
class Around:
    """What is shown. Past the ends of a page that is a window, `at` of these sequence numbers goes on."""

    page: TurnPage
    message_id: UUID
    earlier: int | None = None  # only where the page's own `older` would lead into the version that is read now
    later: int | None = None
    version: UUID | None = None  # the turn of the message, where another version of the conversation is read now
    whole: bool = False  # to the end: the conversation can go on here


def page_around(user: User, thread: Thread, seq: int) -> Around | None:
    """The turns around message `seq`; None where it was deleted."""
    mine = Message.objects.for_user(user).filter(thread=thread)
    found = mine.filter(seq=seq, turn__deleted_at=None).values_list("pk", "turn_id", "on_path").first()
    if found is None:
        return None
    message_id, turn_id, on_path = found
    if not on_path:
        return _version(user, thread, message_id, turn_id)
    before = set(mine.page_before(seq + 1, BESIDE + 1).values_list("turn_id", flat=True))
    after = list(mine.path(seq, None).order_by("seq").values_list("turn_id", "seq")[: REACH + 1])
    if len(after) <= REACH:
        newest = page_of_turns(user, thread)
        wanted = before | {turn_id for turn_id, _ in after} | {turn.pk for turn in newest.turns}
        return Around(_page(user, thread, wanted), message_id, whole=True)
    beside = after[:BESIDE]
    return Around(_page(user, thread, before | {turn_id for turn_id, _ in beside}), message_id, later=beside[-1][1])


def _page(user: User, thread: Thread, wanted: set[UUID]) -> TurnPage:
    turns = list(Turn.objects.for_user(user).filter(pk__in=wanted).order_by("number"))
    older = turns[0].first_seq if turns[0].parent_id is not None else None
    return TurnPage(turns, compaction.current(thread), older)


def _version(user: User, thread: Thread, message_id: UUID, turn_id: UUID) -> Around:
    with connection.cursor() as cursor:
        cursor.execute(VERSION, {"turn": turn_id, "most": BESIDE})
        far = dict(cursor.fetchall())
    page = _page(user, thread, set(far))
    first, last = page.turns[0], page.turns[-1]
    later = last.first_seq if far[last.pk] == BESIDE else None
    if first.on_path or first.parent_id is None:
        return Around(page, message_id, later=later, version=turn_id)
    return Around(replace(page, older=None), message_id, earlier=first.first_seq, later=later, version=turn_id)
