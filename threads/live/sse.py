"""The event-stream door: a turn's events with `id:`, one whole event per write, never silent for long."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any
from uuid import UUID

import psycopg
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from chatai.lib import wire
from threads.blocks import dump_json
from threads.live.follow import follow
from threads.live.tailer import tailer
from threads.live.upstream import deleted, failure
from threads.models import Turn
from threads.outline import told_again

logger = logging.getLogger(__name__)

KEEP_ALIVE = 15.0  # seconds; routers of Heroku-style hosts cut a stream that is silent for 55
START_PATIENCE = 8.0  # seconds that the headers may wait for a turn that is next to start,
EVENT_PATIENCE = 10.0  # and for its first event: a provider's refusal can still be an HTTP status then
LOOK_EVERY = 0.5  # seconds, when no hint tells of a change
PING = b": keep-alive\n\n"
FAILED = b"event: qlaud.error\n"
GONE = dump_json({"type": "qlaud.done", "iterations": 0, "hit_max_iterations": False, "incomplete": True})


class TurnGone(Exception):  # noqa: N818 - people may delete what they like
    """The turn was deleted with its conversation."""


async def turn_stream(turn_id: UUID, thread_id: UUID, after: int | None, position: int) -> HttpResponseBase:
    """All events of a turn behind index `after` (None: from the start, and the first failure as a status), live.

    `position`: turns before it in the queue (0: it starts now).
    """
    try:
        turn = await started(turn_id, thread_id, START_PATIENCE if position == 0 else 0)
        events = _events(turn, -1 if after is None else after)
        first = await anext(events, b"")
        if after is None and first.startswith(FAILED):
            await events.aclose()
            return failure(await finished(turn_id, thread_id, EVENT_PATIENCE))
    except TurnGone:
        return deleted()
    return event_stream(_chained(first, events), turn_headers(turn))


async def _chained(first: bytes, events: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(events):
        if first:
            yield first
        async for event in events:
            yield event


def event_stream(events: AsyncIterator[bytes], headers: dict[str, str]) -> StreamingHttpResponse:
    response = StreamingHttpResponse(events, content_type="text/event-stream")
    for name, value in {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no", **headers}.items():
        response[name] = value
    return response


def turn_headers(turn: Turn) -> dict[str, str]:
    headers = {wire.HEADER_THREAD: str(turn.thread_id), wire.HEADER_TURN: str(turn.pk), wire.HEADER_MODEL: turn.model}
    return headers | {wire.HEADER_ASSISTANT_SEQ: str(turn.first_seq + 1)} if turn.first_seq else headers


def event_bytes(index: int | str | None, payload: str) -> bytes:
    """One event as it goes out. Its name is taken from the JSON, where `type` comes first."""
    name = payload[9 : payload.index('"', 9)]
    head = f"event: {name}\n" if index is None else f"event: {name}\nid: {index}\n"
    return f"{head}data: {payload}\n\n".encode()


async def _events(turn: Turn, after: int) -> AsyncGenerator[bytes]:
    try:
        position = None
        while turn.status == Turn.Status.QUEUED:
            yield PING if turn.ahead == position else _queued(turn)
            position = turn.ahead
            turn = await _moved(turn)
        if turn.first_seq is None:  # withdrawn before it started
            if after < 0:
                yield event_bytes(0, GONE)
            return
        patience = EVENT_PATIENCE if after < 0 else KEEP_ALIVE
        while (left := await _left(turn, after)) is None:
            async with contextlib.aclosing(follow(tailer(), turn, after, patience)) as batches:
                async for batch in batches:
                    for index, payload in batch:
                        yield event_bytes(index, payload)
                        after = index
                    if not batch:
                        break
                else:
                    return
            yield PING
            patience, turn = KEEP_ALIVE, await look(turn.pk)
        for index, payload in left:
            yield event_bytes(index, payload)
    except TurnGone:
        yield event_bytes(None, GONE)


def _queued(turn: Turn) -> bytes:
    body: dict[str, Any] = {"type": wire.EVENT_QUEUED, "position": turn.ahead, "turn_id": str(turn.pk), "thread_id": str(turn.thread_id)}
    return event_bytes(None, dump_json(body))


async def _left(turn: Turn, after: int) -> list[tuple[int, str]] | None:
    """What is left to say of a turn that nothing more will be written of; None when its journal is to be followed."""
    if not turn.over:
        return None
    async with tailer().reads() as feed:
        newest = await feed.newest_event(turn.ring, turn.pk) if turn.ring is not None else None  # stopped before it ran
        if newest is not None:
            return [] if after >= newest else None
        kept = await feed.kept(turn)
    return list(enumerate(told_again(turn, kept)))[after + 1 :]


async def look(turn_id: UUID) -> Turn:
    """The turn as it is now. Raises TurnGone."""
    async with tailer().reads() as feed:
        turn = await feed.turn(turn_id)
    if turn is None:
        raise TurnGone
    return turn


async def started(turn_id: UUID, thread_id: UUID, patience: float) -> Turn:
    """The turn once it has started, or as it is after `patience` seconds. Raises TurnGone."""
    return await _until(lambda turn: turn.status != Turn.Status.QUEUED, turn_id, thread_id, patience)


async def _moved(before: Turn) -> Turn:
    """The queued turn once it has started or others have left the line, or as it is after KEEP_ALIVE. Raises TurnGone.

    That it is next is no news: it starts at once, unless nobody is there to start it.
    """
    return await _until(
        lambda turn: turn.status != Turn.Status.QUEUED or 0 < turn.ahead != before.ahead, before.pk, before.thread_id, KEEP_ALIVE
    )


async def settled(turn_id: UUID, thread_id: UUID, patience: float) -> Turn:
    """The turn once nothing more comes by itself, or as it is after `patience` seconds. Raises TurnGone."""
    return await _until(lambda turn: turn.settled, turn_id, thread_id, patience)


async def finished(turn_id: UUID, thread_id: UUID, patience: float) -> Turn:
    """The turn once it is over, or as it is after `patience` seconds. Raises TurnGone."""
    return await _until(lambda turn: turn.over, turn_id, thread_id, patience)


async def _until(reached: Callable[[Turn], bool], turn_id: UUID, thread_id: UUID, patience: float) -> Turn:
    until = time.monotonic() + patience
    with tailer().bell(thread_id) as bell:
        while True:
            bell.clear()
            try:
                turn = await look(turn_id)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if time.monotonic() > until:
                    raise
                logger.warning("waiting for PostgreSQL: %s", type(error).__name__)
            else:
                if reached(turn) or time.monotonic() >= until:
                    return turn
            try:
                async with asyncio.timeout(min(max(until - time.monotonic(), 0), LOOK_EVERY)):
                    await bell.wait()
            except TimeoutError:
                continue
