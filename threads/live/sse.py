"""The event-stream door: a turn's events with `id:`, one whole event per write, never silent for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from chatai.lib import wire
from threads.blocks import dump_json
from threads.live.follow import follow, synthesised
from threads.live.tailer import tailer
from threads.models import Message, Turn, TurnEvent

KEEP_ALIVE = 15.0  # seconds; routers of Heroku-style hosts cut a stream that is silent for 55
START_PATIENCE = 2.0  # seconds that the headers may wait for the turn to start
LOOK_EVERY = 0.5  # seconds, when no hint tells of a change
PING = b": keep-alive\n\n"
WITHDRAWN = {"type": "qlaud.done", "iterations": 0, "hit_max_iterations": False, "incomplete": True}


async def turn_stream(turn_id: UUID, thread_id: UUID, after: int, position: int) -> HttpResponseBase:
    """All events of a turn behind index `after`, live. `position`: turns before it in the queue (0: it starts now)."""
    turn = await started(turn_id, thread_id, START_PATIENCE if position == 0 else 0)
    return event_stream(_events(turn, after, position), turn_headers(turn))


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


async def _events(turn: Turn, after: int, position: int) -> AsyncIterator[bytes]:
    if turn.status == Turn.Status.QUEUED:
        body: dict[str, Any] = {"type": wire.EVENT_QUEUED, "position": position, "turn_id": str(turn.pk), "thread_id": str(turn.thread_id)}
        yield event_bytes(None, dump_json(body))
        while (turn := await started(turn.pk, turn.thread_id, KEEP_ALIVE)).status == Turn.Status.QUEUED:
            yield PING
    if turn.ring is None:  # withdrawn before it started
        yield event_bytes(0, dump_json(WITHDRAWN))
        return
    stored = await sync_to_async(_stored_only)(turn)
    if stored is not None:
        for index, payload in list(enumerate(stored))[after + 1 :]:
            yield event_bytes(index, payload)
        return
    async for batch in follow(tailer(), turn, after, KEEP_ALIVE):
        for index, payload in batch:
            yield event_bytes(index, payload)
        if not batch:
            yield PING


def _stored_only(turn: Turn) -> list[str] | None:
    """The events made from the stored answer when the journal of a finished turn is gone, else None."""
    if not turn.over or turn.ring is None or TurnEvent.objects.filter(ring=turn.ring, turn=turn).exists():
        return None
    answer = Message.objects.filter(turn=turn, role=Message.Role.ASSISTANT).order_by("-seq").first()
    return synthesised(turn, answer) if answer else []


def last_index(turn: Turn) -> int:
    """Index of the last event of a finished turn, as a resume would bring it."""
    stored = _stored_only(turn)
    if stored is not None or turn.ring is None:
        return len(stored or []) - 1
    newest = TurnEvent.objects.filter(ring=turn.ring, turn=turn).order_by("-index").values_list("index", flat=True).first()
    return -1 if newest is None else newest


async def started(turn_id: UUID, thread_id: UUID, patience: float) -> Turn:
    """The turn once it has started, or as it is after `patience` seconds."""
    return await _until(lambda turn: turn.status != Turn.Status.QUEUED, turn_id, thread_id, patience)


async def finished(turn_id: UUID, thread_id: UUID, patience: float) -> Turn:
    """The turn once it is over, or as it is after `patience` seconds."""
    return await _until(lambda turn: turn.over, turn_id, thread_id, patience)


async def _until(reached: Any, turn_id: UUID, thread_id: UUID, patience: float) -> Turn:
    until = time.monotonic() + patience
    with tailer().bell(thread_id) as bell:
        while True:
            bell.clear()
            turn = await tailer().turn(turn_id)
            if turn is None:
                raise LookupError(f"turn {turn_id} is gone")
            left = until - time.monotonic()
            if reached(turn) or left <= 0:
                return turn
            try:
                async with asyncio.timeout(min(left, LOOK_EVERY)):
                    await bell.wait()
            except TimeoutError:
                continue
