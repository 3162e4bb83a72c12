"""A page of a thread's history by sequence number (contract, 7.1; decision 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from threads.models import Message, MessageQuerySet, Thread

if TYPE_CHECKING:
    from accounts.models import ApiKey

HIGHEST = 2**31 - 1  # of the column; a larger bound means the same as this one

SHOWN = ("seq", "role", "content", "status", "stop_reason", "usage", "cost_micros", "created_at", "turn__request_id", "turn__model")


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for: rows between two sequence numbers, neither included."""

    limit: int
    ascending: bool
    after: int | None = None
    before: int | None = None
    visible: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Message]
    has_more: bool  # in the direction asked for
    next_after: int | None
    next_before: int | None


def page(key: ApiKey, thread: Thread, window: Window) -> Page:
    """Never more than the page is read, whatever the thread's length. An answer appears when it is whole."""
    mine = Message.objects.for_key(key).filter(thread=thread)
    after, before = (None if bound is None else min(bound, HIGHEST) for bound in (window.after, window.before))
    order = "seq" if window.ascending else "-seq"
    wanted = mine.path(after, before, visible=window.visible).settled().select_related("turn").only(*SHOWN)
    found = list(wanted.order_by(order)[: window.limit + 1])
    rows, has_more = found[: window.limit], len(found) > window.limit
    seqs = [row.seq for row in rows if row.seq is not None]
    if not seqs:
        return Page([], False, None, None)
    low, high = min(seqs), max(seqs)
    if window.ascending:
        earlier = after is not None and low > 1 and _any(mine.path(None, low, visible=window.visible), "-seq")
        return Page(rows, has_more, high if has_more else None, low if earlier else None)
    later = before is not None and _any(mine.path(high, None, visible=window.visible), "seq")
    return Page(rows, has_more, high if later else None, low if has_more else None)


def _any(rows: MessageQuerySet, nearest: str) -> bool:
    # In order, so that it is one step in the index whatever the planner thinks of the table.
    return bool(rows.settled().order_by(nearest).values_list("seq")[:1])
