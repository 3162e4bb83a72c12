"""Which turns a page of history shows: whole turns, the newest first in time of loading, one index range whatever the length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.safestring import SafeString

from threads import compaction
from threads.live.drawn import draw
from threads.live.frames import TurnView, turn_views
from threads.models import Compaction, Message, Thread, Turn

if TYPE_CHECKING:
    from accounts.models import User


@dataclass(frozen=True, slots=True)
class TurnPage:
    turns: list[Turn]
    summary: Compaction | None  # in force in this thread
    older: int | None  # sequence number before which the next page lies; None at the beginning of the thread

    @property
    def sections(self) -> list[SafeString]:
        """The turns as HTML."""
        return draw(self.turns, self.summary)

    @property
    def views(self) -> list[TurnView]:
        return turn_views(self.turns, self.summary)


def page_of_turns(user: User, thread: Thread, before: int | None = None) -> TurnPage:
    """About PAGE_SIZE messages older than `before`; without it the newest, and with them what is still queued."""
    mine = Message.objects.for_user(user).filter(thread=thread)
    wanted = set(mine.page_before(before, settings.PAGE_SIZE).values_list("turn_id", flat=True))
    turns = Turn.objects.for_user(user)
    shown = list(turns.filter(pk__in=wanted).order_by("number"))
    if before is None:
        shown += turns.filter(thread=thread, on_path=True, status=Turn.Status.QUEUED).order_by("number")
    older = shown[0].first_seq if shown and shown[0].parent_id is not None else None
    return TurnPage(shown, compaction.current(thread), older)
