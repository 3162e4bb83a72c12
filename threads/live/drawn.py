"""Turns as HTML for pages. A finished turn is drawn once and kept: a page of thirty messages costs little more than one of six."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.safestring import SafeString

from threads.live.frames import Siblings, label_of, siblings_of, turn_html, turn_views

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from threads.models import Compaction, Turn

MOST = 2000
LONGEST = 50_000  # characters of one turn; longer ones are drawn each time

_kept: OrderedDict[Hashable, SafeString] = OrderedDict()
_lock = Lock()


def draw(turns: Sequence[Turn], summary: Compaction | None = None) -> list[SafeString]:
    """Each of `turns` of one thread (already fetched for their owner) as its section of the page."""
    siblings = siblings_of(turns)
    keys = {turn.id: _key(turn, summary, siblings) for turn in turns}
    known = {turn.id: html for turn in turns if turn.over and (html := _take(keys[turn.id])) is not None}
    missing = [turn for turn in turns if turn.id not in known]
    for turn, view in zip(missing, turn_views(missing, summary, siblings) if missing else (), strict=True):
        known[turn.id] = turn_html(view)
        if turn.over:
            _keep(keys[turn.id], known[turn.id])
    return [known[turn.id] for turn in turns]


def _key(turn: Turn, summary: Compaction | None, siblings: Siblings) -> Hashable:
    """Everything that a finished turn's section is made from."""
    versions = tuple(siblings[turn.thread_id, turn.parent_id])
    return turn.id, turn.changed_at, label_of(turn.model), versions, summary and summary.pk, timezone.get_current_timezone_name()


def _take(key: Hashable) -> SafeString | None:
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
        return _kept.get(key)


def _keep(key: Hashable, html: SafeString) -> None:
    if len(html) <= LONGEST:
        with _lock:
            _kept[key] = html
            while len(_kept) > MOST:
                _kept.popitem(last=False)
