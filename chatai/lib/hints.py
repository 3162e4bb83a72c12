"""Wake-ups between processes, over the channel layer. A hint may be lost: whoever waits for one also polls.

`announce` never blocks and never raises. What it is told leaves at once; where there is much, or Redis has gone, it is merged and
sent by one task per process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, Literal

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

Group = Literal["replies", "live"]
# To "live": `events` of turns; `turns` that started or ended, as "thread/turn"; anything in `threads`; only the `rows` that lists of
# threads are made of; `sessions` that ended.
# To "replies": `work` is queued; turns that were `given` to one of them, as "name/turn"; turns to `stop`; turns that `resume` after a
# wait; turns for which `answers` have come.
Kind = Literal["work", "given", "stop", "resume", "answers", "events", "turns", "threads", "rows", "sessions"]

_loop: asyncio.AbstractEventLoop | None = None
_pending: dict[tuple[str, str], set[str]] = defaultdict(set)
_sender: asyncio.Task[None] | None = None

SEND_TIMEOUT = 1.0  # seconds
GAP, MOST_AHEAD = 0.010, 5  # seconds between two messages where there are many, and how many may go before that counts

_due = 0.0  # when the next message would be sent if there had always been a gap


def bind_loop() -> None:
    """Make the running loop the one that sends; called by every asyncio process when it starts."""
    global _loop
    _loop = asyncio.get_running_loop()


def announce(group: Group, kind: Kind, *ids: object) -> None:
    """Tell `group` that something of `kind` happened to `ids`. From the loop, from a thread, or from a plain process."""
    names = {str(one) for one in ids}
    if _loop is None or _loop.is_closed():
        _send_now(group, [(kind, list(names))])
        return
    try:
        inside = asyncio.get_running_loop() is _loop
    except RuntimeError:
        inside = False
    if inside:
        _tell(group, kind, names)
    else:
        _loop.call_soon_threadsafe(_tell, group, kind, names)


def _tell(group: Group, kind: Kind, names: set[str]) -> None:
    global _due, _sender
    if not _pending and (due := _next()) <= time.monotonic() and get_channel_layer().speak(group, _hint([(kind, list(names))])):
        _due = due
        return
    _pending[group, kind] |= names
    if _sender is None or _sender.done():
        _sender = asyncio.get_running_loop().create_task(_send_pending())


async def _send_pending() -> None:
    global _due
    while _pending:
        _due = _next()
        await asyncio.sleep(_due - time.monotonic())
        group = next(iter(_pending))[0]  # who was told first may be waited for: the work goes out before the news of it
        said = [(kind, list(_pending.pop((group, kind)))) for whom, kind in list(_pending) if whom == group]
        await _send(group, said)


def _next() -> float:
    """When the next message may leave.

    Whoever listens takes what one message says at once: many small ones cost it and us more, and tell nothing sooner.
    """
    return max(_due, time.monotonic() - GAP * MOST_AHEAD) + GAP


def _hint(said: list[tuple[str, list[str]]]) -> dict[str, Any]:
    return {"type": "hint", "said": said}


async def _send(group: str, said: list[tuple[str, list[str]]]) -> None:
    try:
        async with asyncio.timeout(SEND_TIMEOUT):
            await get_channel_layer().group_send(group, _hint(said))
    except Exception as error:  # whatever Redis is up to, waiting processes poll
        logger.warning("hint %s/%s not sent: %s", group, "+".join(kind for kind, _ in said), type(error).__name__)


def _send_now(group: str, said: list[tuple[str, list[str]]]) -> None:
    """From a process without a loop, such as a worker's."""
    try:
        get_channel_layer().send_now(group, _hint(said))
    except (OSError, RedisError) as error:
        logger.warning("hint %s not sent: %s", group, type(error).__name__)


async def listen(group: Group) -> AsyncIterator[tuple[str, list[str]]]:
    """Yield (kind, ids) for ever; reconnects by itself."""
    layer = get_channel_layer()
    while True:
        try:
            channel = await layer.new_channel(f"{group}!")
            await layer.group_add(group, channel)
            while True:
                # While a new version comes up, processes of the one before say it in their way: whoever waits looks by itself.
                for kind, ids in (await layer.receive(channel)).get("said", ()):
                    yield kind, ids
        except (OSError, RedisError, TimeoutError) as error:
            logger.warning("waiting for Redis: %s", type(error).__name__)
            await asyncio.sleep(0.5)
