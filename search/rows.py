"""Hits as pages show them, and where each of them leads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.urls import reverse
from django.utils import timezone

from threads import described
from threads.models import Thread

if TYPE_CHECKING:
    from accounts.models import User
    from search.query import Hit

WEAK = 0.2  # cosine similarity, below which a message that shares no word is only loosely related
MOST_TITLE_WORDS = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One hit as a template needs it."""

    message_id: UUID
    url: str
    title: str
    who: str
    when: str  # in the reader's time zone
    sent_at: dt.datetime
    snippet: str
    marks: list[tuple[int, int]]
    by_meaning: bool  # alone: it shares no word with the query
    weak: bool


def address(hit: Hit) -> str:
    """The conversation at that message."""
    return f"{reverse('thread', args=[hit.thread_id])}?at={hit.seq}#m-{hit.message_id}"


def rows_of(hits: Iterable[Hit], zone: dt.tzinfo, lead: int | None = None) -> list[Row]:
    """`lead`: where only two lines of a snippet are shown, the characters that may stand before what matched."""
    names = described.model_names()
    return [_row(hit, zone, "You" if hit.role == "user" else names.get(hit.model, hit.model), lead) for hit in hits]


def _row(hit: Hit, zone: dt.tzinfo, who: str, lead: int | None) -> Row:
    alone = hit.match == "meaning"
    snippet, marks = (hit.snippet, hit.marks) if lead is None else _beginning(hit.snippet, hit.marks, lead)
    return Row(
        message_id=hit.message_id,
        url=address(hit),
        title=hit.title or "New chat",
        who=who,
        when=said(hit.created_at.astimezone(zone)),
        sent_at=hit.created_at,
        snippet=snippet,
        marks=marks,
        by_meaning=alone and not hit.marks,
        weak=alone and hit.score < WEAK,
    )


def _beginning(text: str, marks: list[tuple[int, int]], lead: int) -> tuple[str, list[tuple[int, int]]]:
    """The text from a word about `lead` characters before its first mark on."""
    if not marks or marks[0][0] <= lead:
        return text, marks
    first = marks[0][0]
    cut = text.find(" ", first - lead, first) + 1 or first
    return f"…{text[cut:]}", [(begin - cut + 1, end - cut + 1) for begin, end in marks]


def said(at: dt.datetime) -> str:
    """A day as one says it, with the year when it is another one."""
    year = "" if at.year == timezone.now().year else f" {at.year}"
    return f"{at.day} {at:%b}{year}, {at:%H:%M}"


def titled(user: User, q: str, most: int) -> list[Thread]:
    """Chats with all words of `q` in the title, the most recently active first."""
    found = Thread.objects.for_user(user).only("id", "title", "last_active_at")
    words = q.split()[:MOST_TITLE_WORDS]
    for word in words:
        found = found.filter(title__icontains=word)
    return list(found.newest()[:most]) if words else []
