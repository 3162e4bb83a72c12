"""Sending, reading and following messages (contract, sections 5 to 7; decisions 5 to 10)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from ninja.errors import HttpError
from pydantic import Field

from accounts.access import key_of
from chatai.lib import wire
from chatai.lib.later import LaterResponse
from threads import actions, attachments
from threads.admission import queue_position
from threads.compaction import current
from threads.live import sse
from threads.live.thread_feed import thread_feed
from threads.live.whole import whole_answer
from threads.models import Message, Thread, Turn
from threads.wire import compaction_row, message_row

router = Router()
MESSAGES = ["messages"]
TURN = "/threads/{uuid:thread_id}/turns/{uuid:turn_id}"
PASSED_ON = ("temperature", "top_p", "top_k", "stop_sequences", "thinking", "tool_choice", "metadata", "output_config", "service_tier")
INDEX = re.compile(r"[0-9]{1,9}")


class Send(Schema, extra="allow"):
    model: str = Field(min_length=1, max_length=100)
    content: str | list[dict[str, Any]] = Field(description="The new turn only: text, or blocks of type text, image or document.")
    max_tokens: int | None = Field(default=None, ge=1, description="The model's default when missing.")
    stream: bool = False
    system: str | list[dict[str, Any]] | None = None
    on_busy: Literal["queue", "reject", "interrupt"] = "queue"
    tools: list[str] | None = None
    tools_mode: Literal["dynamic", "tenant", "explicit"] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    thinking: dict[str, Any] | None = None


class Wanted(Schema):
    limit: int = Field(100, ge=1, le=200)
    order: Literal["asc", "desc"] = "asc"
    after_seq: int | None = Field(None, ge=0, le=2**31 - 1)
    before_seq: int | None = Field(None, ge=0, le=2**31 - 1)
    cursor: int | None = Field(None, ge=0, le=2**31 - 1, description="after_seq or before_seq, in the direction of order.")
    visible: bool = Field(False, description="Leave out rows that only carry tool results.")


class MessageOut(Schema):
    seq: int
    role: str
    content: list[dict[str, Any]]
    request_id: str | None
    created_at: int
    status: str
    model: str | None
    stop_reason: str | None
    usage: dict[str, Any] | None
    cost_micros: int
    end_user_id: str | None
    turn_id: str


class MessageList(Schema):
    object: str
    data: list[MessageOut]
    has_more: bool
    next_after_seq: int | None
    next_before_seq: int | None
    compaction: dict[str, Any] | None


class Stopped(Schema):
    id: str
    object: str
    status: str


@router.post(
    "/threads/{uuid:thread_id}/messages",
    response=dict[str, Any],
    tags=MESSAGES,
    summary="Send a message; the answer is streamed or returned",
)
def send(request: HttpRequest, thread_id: UUID, payload: Send) -> HttpResponseBase:
    key = key_of(request)
    _check_tools(payload)
    options = {name: value for name in PASSED_ON if (value := getattr(payload, name, None)) is not None}
    options |= {name: value for name, value in {"max_tokens": payload.max_tokens, "system": payload.system}.items() if value is not None}
    _own(request, thread_id)
    request_id = _request_id(request)
    admission = actions.admit_turn(
        key.user,
        thread_id,
        content=attachments.store_blocks(key.user, thread_id, payload.content),
        model=payload.model,
        request_id=request_id,
        key=key,
        options=options,
        on_busy=payload.on_busy,
    )
    if payload.stream:
        after = _last_event(request) if admission.replayed else -1
        return LaterResponse(lambda: sse.turn_stream(admission.turn_id, thread_id, after, admission.position))
    return LaterResponse(lambda: whole_answer(admission.turn_id, thread_id))


@router.get("/threads/{uuid:thread_id}/messages", response=MessageList, tags=MESSAGES, summary="History, by sequence number")
def list_messages(request: HttpRequest, thread_id: UUID, wanted: Annotated[Wanted, Query()]) -> dict[str, Any]:
    thread = _own(request, thread_id)
    ascending = wanted.order == "asc"
    after = wanted.cursor if ascending and wanted.after_seq is None else wanted.after_seq
    before = wanted.cursor if not ascending and wanted.before_seq is None else wanted.before_seq
    rows = Message.objects.for_key(key_of(request)).filter(thread=thread).path(after, before, visible=wanted.visible)
    found = list(rows.select_related("turn").order_by("seq" if ascending else "-seq")[: wanted.limit + 1])
    page, has_more = found[: wanted.limit], len(found) > wanted.limit
    seqs = [message.seq for message in page if message.seq is not None]
    return {
        "object": "list",
        "data": [message_row(message, message.turn, thread.end_user_id) for message in page],
        "has_more": has_more,
        "next_after_seq": max(seqs) if seqs and (has_more if ascending else before is not None) else None,
        "next_before_seq": min(seqs) if seqs and (min(seqs) > 1 if ascending else has_more) else None,
        "compaction": compaction_row(current(thread)),
    }


@router.get(
    "/threads/{uuid:thread_id}/turns/{uuid:turn_id}/events", response=dict[str, Any], tags=MESSAGES, summary="Resume a turn's stream"
)
def events(request: HttpRequest, thread_id: UUID, turn_id: UUID, after: str | None = None) -> HttpResponseBase:
    """Everything behind `Last-Event-ID` (or `after`), then live until `qlaud.done`."""
    turn = _turn(request, thread_id, turn_id)
    seen = _index(after) if after is not None else _last_event(request)
    if turn.over and seen >= 0 and seen > sse.last_index(turn):
        raise HttpError(400, "This turn has no event of that index.")
    position = queue_position(turn)
    return LaterResponse(lambda: sse.turn_stream(turn_id, thread_id, seen, position))


@router.post(
    "/threads/{uuid:thread_id}/turns/{uuid:turn_id}/stop", response=Stopped, tags=MESSAGES, summary="Stop a turn; what it has written stays"
)
def stop(request: HttpRequest, thread_id: UUID, turn_id: UUID) -> dict[str, Any]:
    turn = _turn(request, thread_id, turn_id)
    actions.stop_turn(key_of(request).user, turn)
    return {"id": str(turn_id), "object": "turn", "status": turn.status if turn.over else "stopping"}


@router.get("/threads/{uuid:thread_id}/events", response=dict[str, Any], tags=MESSAGES, summary="Live feed of a thread's messages")
def feed(request: HttpRequest, thread_id: UUID) -> HttpResponseBase:
    """Events `message` (id: its seq) and `thread`; `Last-Event-ID: <seq>` resumes. Ends with `reconnect` after four minutes."""
    key = key_of(request)
    _own(request, thread_id)
    raw = request.headers.get("Last-Event-ID", "")
    after = int(raw) if INDEX.fullmatch(raw) else 0
    return LaterResponse(lambda: thread_feed(key, thread_id, after))


def _own(request: HttpRequest, thread_id: UUID) -> Thread:
    return get_object_or_404(Thread.objects.for_key(key_of(request)), pk=thread_id)


def _turn(request: HttpRequest, thread_id: UUID, turn_id: UUID) -> Turn:
    return get_object_or_404(Turn.objects.for_key(key_of(request)), pk=turn_id, thread_id=thread_id)


def _request_id(request: HttpRequest) -> str:
    given = [request.headers[name] for name in ("Idempotency-Key", wire.HEADER_REQUEST_ALIAS) if name in request.headers]
    if len(set(given)) > 1:
        raise HttpError(400, "Idempotency-Key and x-qlaud-request-id differ. Send one of them.")
    if given and not 1 <= len(given[0]) <= 255:
        raise HttpError(400, "Idempotency-Key: 1 to 255 printable characters.")
    return given[0] if given else str(uuid4())


def _last_event(request: HttpRequest) -> int:
    raw = request.headers.get("Last-Event-ID")
    return -1 if raw is None else _index(raw)


def _index(raw: str) -> int:
    if not INDEX.fullmatch(raw):
        raise HttpError(400, "An event index is a number from 0.")
    return int(raw)


def _check_tools(payload: Send) -> None:
    if payload.tools is not None and payload.tools_mode == "tenant":
        raise HttpError(400, 'tools: cannot be given together with tools_mode "tenant".')
    if payload.tools:
        raise HttpError(400, f"tools: there is no tool {payload.tools[0][:60]!r}.")
