"""`GET /v1/threads/:id/events`: every new message row of a thread, live (contract, 7.3)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http.response import HttpResponseBase

from accounts.models import ApiKey
from threads.blocks import dump_json
from threads.live.sse import KEEP_ALIVE, event_stream
from threads.live.tailer import tailer
from threads.models import Message, Thread
from threads.wire import message_row, thread_row

LASTS = 240.0  # seconds; then the client is asked to come back
LOOK_EVERY = 1.0
AT_ONCE = 100


async def thread_feed(key: ApiKey, thread_id: UUID, after: int) -> HttpResponseBase:
    return event_stream(_frames(key, thread_id, after), {})


async def _frames(key: ApiKey, thread_id: UUID, after: int) -> AsyncIterator[bytes]:
    until, spoken, snapshot, number = time.monotonic() + LASTS, time.monotonic(), "", 0
    with tailer().bell(thread_id) as bell:
        while time.monotonic() < until:
            bell.clear()
            thread, rows = await sync_to_async(_news)(key, thread_id, after)
            if thread is None:
                yield _frame("deleted", "", "{}")
                return
            if thread != snapshot:
                number, snapshot, spoken = number + 1, thread, time.monotonic()
                yield _frame("thread", f"thread:{number}", thread)
            for seq, row in rows:
                after, spoken = seq, time.monotonic()
                yield _frame("message", str(seq), row)
            if len(rows) == AT_ONCE:
                continue
            if time.monotonic() - spoken > KEEP_ALIVE:
                spoken = time.monotonic()
                yield _frame("keepalive", "", "{}")
            await _ring(bell)
    yield _frame("reconnect", "", "{}")


async def _ring(bell: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_EVERY):
            await bell.wait()
    except TimeoutError:
        return


def _news(key: ApiKey, thread_id: UUID, after: int) -> tuple[str | None, list[tuple[int, str]]]:
    """The thread as JSON (None when it is gone) and its finished rows behind `after`."""
    close_old_connections()  # as at the start of a request: this thread of the process never has one
    thread = Thread.objects.for_key(key).filter(pk=thread_id).first()
    if thread is None:
        return None, []
    rows = Message.objects.for_key(key).filter(thread=thread).path(after, None).settled()
    found = []
    for message in rows.select_related("turn").order_by("seq")[:AT_ONCE]:
        assert message.seq is not None
        found.append((message.seq, dump_json(message_row(message, message.turn, thread.end_user_id))))
    return dump_json(thread_row(thread)), found


def _frame(event: str, id: str, data: str) -> bytes:
    return (f"event: {event}\n" + (f"id: {id}\n" if id else "") + f"data: {data}\n\n").encode()
