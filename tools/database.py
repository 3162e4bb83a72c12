"""The ORM from asynchronous code."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async

Args = ParamSpec("Args")
Result = TypeVar("Result")


async def in_thread(call: Callable[Args, Result], *args: Args.args, **kwargs: Args.kwargs) -> Result:
    """`call` in a thread with a connection to the database; not for anything that waits for somebody else."""
    result: Result = await database_sync_to_async(call)(*args, **kwargs)
    return result
