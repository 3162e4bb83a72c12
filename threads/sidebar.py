"""The list of chats beside the conversation: pinned, then by day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone

from chatai.lib.zones import zone_of as zone_of
from threads.cursors import after_thread, parse_after
from threads.models import Thread, ThreadQuerySet

if TYPE_CHECKING:
    from accounts.models import User

PAGE = 50
ALWAYS = {"today": "Today", "yesterday": "Yesterday", "7-days": "Previous 7 days", "30-days": "Previous 30 days"}


@dataclass(slots=True)
class Group:
    key: str
    label: str
    threads: list[Thread] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sidebar:
    pinned: list[Thread]
    groups: list[Group]
    more: str  # cursor of the next page; empty at the end

    @property
    def last_key(self) -> str:
        """The group that the next page goes on in."""
        return next((group.key for group in reversed(self.groups) if group.threads), "today")


def page_of_threads(threads: ThreadQuerySet, cursor: str = "") -> tuple[list[Thread], str]:
    """Newest first, PAGE at a time, and the cursor of the page after it. Raises BadCursor."""
    if cursor:
        active, thread_id = parse_after(cursor)
        threads = threads.filter(Q(last_active_at__lt=active) | Q(last_active_at=active, pk__lt=thread_id))
    rows = list(threads.defer("metadata").newest()[: PAGE + 1])
    return rows[:PAGE], after_thread(rows[PAGE - 1]) if len(rows) > PAGE else ""


def sidebar_of(user: User, zone: dt.tzinfo) -> Sidebar:
    mine = Thread.objects.for_user(user).filter(archived_at=None)
    pinned = list(mine.exclude(pinned_at=None).defer("metadata").order_by("-pinned_at", "-pk"))
    rest, more = page_of_threads(mine.filter(pinned_at=None))
    return Sidebar(pinned, grouped(rest, zone, keep=ALWAYS), more)


def grouped(threads: Iterable[Thread], zone: dt.tzinfo, keep: Iterable[str] = ()) -> list[Group]:
    """In the order given; the groups named in `keep` are there even when empty, so that a live row finds its place."""
    groups = {key: Group(key, ALWAYS[key]) for key in keep}
    today = timezone.now().astimezone(zone).date()
    for thread in threads:
        key, label = _day_group(thread.last_active_at.astimezone(zone).date(), today)
        groups.setdefault(key, Group(key, label)).threads.append(thread)
    return list(groups.values())


def _day_group(day: dt.date, today: dt.date) -> tuple[str, str]:
    age = (today - day).days
    for limit, key in ((0, "today"), (1, "yesterday"), (7, "7-days"), (30, "30-days")):
        if age <= limit:
            return key, ALWAYS[key]
    return f"{day:%Y-%m}", f"{day:%B %Y}"
