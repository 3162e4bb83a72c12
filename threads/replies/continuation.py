"""Going on in the middle of a message: what an earlier attempt left open, and the events of whoever continues it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threads.blocks import BlockDelta, BlockStart, BlockStop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from threads.blocks import Event, Partial


def open_text(partial: Partial) -> int | None:
    """Index of the text block an earlier attempt was writing, if it was writing text."""
    last = len(partial.blocks) - 1
    return last if last >= 0 and partial.blocks[last]["type"] == "text" and not partial.closed[last] else None


async def shifted(events: AsyncIterator[Event], partial: Partial) -> AsyncIterator[Event]:
    """The events of a continued answer, their block indexes following the blocks that are there already.

    The first text block of the continuation goes on in the text block that was open.
    """
    base = len(partial.blocks)
    joined = open_text(partial) is not None
    async for event in events:
        if base and isinstance(event, BlockStart | BlockDelta | BlockStop):
            if joined and isinstance(event, BlockStart) and event.index == 0:
                continue
            event.index += base - joined
        yield event
