"""Going on in the middle of a message: what an earlier attempt left open, and the events of whoever continues it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threads.blocks import BlockDelta, BlockStart, BlockStop

if TYPE_CHECKING:
    from collections.abc import Callable

    from threads.blocks import Event, Partial


def open_text(partial: Partial) -> int | None:
    """Index of the text block an earlier attempt was writing, if it was writing text."""
    last = len(partial.blocks) - 1
    return last if last >= 0 and partial.blocks[last]["type"] == "text" and not partial.closed[last] else None


def following(partial: Partial) -> Callable[[Event], bool]:
    """Puts the events of a continued answer behind the blocks that `partial` has now; False for one that has nothing to say then.

    The first text block of the continuation goes on in the text block that was open.
    """
    base = len(partial.blocks)
    joined = open_text(partial) is not None

    def shift(event: Event) -> bool:
        if base and isinstance(event, (BlockDelta, BlockStart, BlockStop)):
            if joined and isinstance(event, BlockStart) and event.index == 0:
                return False
            event.index += base - joined
        return True

    return shift
