"""Where a reader left off: an index that the turn's stream really has (decision 6)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from threads.models import Message, Turn, TurnEvent
from threads.outline import Kept, last_index
from threads.refusals import Refused

if TYPE_CHECKING:
    from django.http import HttpRequest

INDEX = re.compile(r"[0-9]{1,9}")


def last_event(request: HttpRequest, after: str | None = None) -> int | None:
    """The index in `?after=` or `Last-Event-ID`, None when there is neither. Raises Refused for what is no index."""
    raw = request.headers.get("Last-Event-ID") if after is None else after
    if raw is None:
        return None
    if not INDEX.fullmatch(raw):
        raise Refused(400, "invalid_request_error", "An event index is a whole number from 0.")
    return int(raw)


def index_in(turn: Turn, seen: int) -> int:
    """`seen`, if the turn has an event of that index by now. Raises Refused."""
    if seen > _newest(turn):
        raise Refused(400, "invalid_request_error", "This turn has no event of that index.")
    return seen


def _newest(turn: Turn) -> int:
    if turn.first_seq is None:
        return 0 if turn.over else -1  # a turn that was taken back tells one event
    if turn.ring is not None:
        journal = TurnEvent.objects.filter(ring=turn.ring, turn=turn).order_by("-index")
        newest = journal.values_list("index", flat=True).first()
        if newest is not None:
            return newest
    if not turn.over:
        return -1
    return last_index(turn, Kept(list(Message.objects.filter(turn=turn, seq__gt=turn.first_seq).order_by("seq"))))
