"""How a turn is drawn for watchers: when a frame needs it, as it is then, once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from threads.live import frames

if TYPE_CHECKING:
    from threads.live.feed import Seen
    from threads.live.growing import Growing


def drawing(seen: Seen, live: Mapping[UUID, Growing]) -> Callable[[], str]:
    """Draws the turn as it is when asked; drawn anew only when it has grown since. `live` has the turns that grow now."""
    drawn: tuple[int, str] | None = None
    turn = seen.turn

    def draw() -> str:
        nonlocal drawn
        growing = live.get(turn.id)
        version = growing.version if growing else -1
        if drawn is None or drawn[0] != version:
            if not turn.on_path:  # taken back, or another version is read now
                html = str(frames.withdrawn(turn))
            else:
                html = str(
                    frames.section(frames.turn_view(turn, seen.messages, growing, seen.label, seen.siblings, seen.summary, seen.calls))
                )
            drawn = (version, html)
        return drawn[1]

    return draw
