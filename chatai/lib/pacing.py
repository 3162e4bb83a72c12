"""Loops that come round at most so often."""

import asyncio
import time


async def not_before(moment: float) -> None:
    """Wait until `moment` of the monotonic clock; when that is over, not even for one round of the event loop."""
    if (left := moment - time.monotonic()) > 0:
        await asyncio.sleep(left)
