"""Sending and reading messages (contract, sections 5 to 7; decisions 5 to 10)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from ninja.errors import HttpError
from pydantic import BeforeValidator, Field

from accounts.access import key_of
from chatai.lib import wire
from chatai.lib.later import LaterResponse
from threads import actions, attachments, reading, tool_options
from threads.admission import queue_position
from threads.compaction import current
from threads.live import sse
from threads.live.resume import index_in, last_event
from threads.live.thread_feed import thread_feed
from threads.live.whole import whole_answer
from threads.models import Thread, Turn
from threads.providers.catalog import is_offered, model_info
from threads.refusals import Refused
from threads.wire import compaction_row, message_row

router = Router()
MESSAGES = ["messages"]
PASSED_ON = ("temperature", "top_p", "top_k", "stop_sequences", "thinking", "tool_choice", "metadata", "output_config", "service_tier")
DIGITS = re.compile(r"[0-9]{1,18}")
MOST = 2**31 - 1
# One event of a stream, as the description of the API has it.
EVENT = {
    "type": "object",
    "description": "A server-sent event; `data` is JSON with the event's name as `type`. See docs/api.md.",
    "required": ["event", "data"],
    "properties": {"event": {"type": "string"}, "id": {"type": "string"}, "data": {"type": "string"}},
}
STREAM = {"text/event-stream": {"schema": EVENT}}


def _digits(value: Any) -> Any:
    if isinstance(value, str) and not DIGITS.fullmatch(value):
        raise ValueError("a whole number from 0 is wanted")
    return value


Whole = Annotated[int, BeforeValidator(_digits)]


class Send(Schema, extra="allow"):
    model: str = Field(min_length=1, max_length=100)
    content: str | list[dict[str, Any]] = Field(description="The new turn only: text, or blocks of type text, image or document.")
    max_tokens: int | None = Field(default=None, ge=1, le=MOST, description="The model's default when missing.")
    stream: bool = False
    system: str | list[dict[str, Any]] | None = None
    on_busy: Literal["queue", "reject", "interrupt"] = Field("queue", description="What to do while another turn of the thread runs.")
    tools: list[str] | None = Field(default=None, max_length=200, description="Ids of registered tools; tools_mode is explicit then.")
    tools_mode: Literal["dynamic", "tenant", "explicit"] | None = None
    client_tools: list[dict[str, Any]] | None = Field(
        default=None, description="Tools that the caller runs itself: {name, description, input_schema}. See docs/api.md."
    )
    qlaud_runtime: dict[str, Any] | None = Field(default=None, description="max_iterations: calls of the model with tools, 8 by default.")
    temperature: float | None = Field(default=None, allow_inf_nan=False)
    top_p: float | None = Field(default=None, allow_inf_nan=False)
    top_k: int | None = Field(default=None, ge=0, le=MOST)
    stop_sequences: list[str] | None = Field(default=None, max_length=100)
    thinking: dict[str, Any] | None = None


class Sent(Schema):
    thread_id: str
    turn_id: str
    seq: int
    iterations: int
    hit_max_iterations: bool
    cost_micros: int
    request_id: str
    status: str


class Answer(Schema):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    stop_sequence: str | None
    usage: dict[str, Any]
    qlaud: Sent


class Wanted(Schema):
    limit: Whole = Field(100, ge=1, le=200)
    order: Literal["asc", "desc"] = "asc"
    after_seq: Whole | None = Field(None, ge=0)
    before_seq: Whole | None = Field(None, ge=0)
    cursor: Whole | None = Field(None, ge=0, description="after_seq or before_seq, in the direction of order.")
    visible: bool = Field(False, description="Leave out rows that only carry tool results.")

    def window(self) -> reading.Window:
        ascending = self.order == "asc"
        if self.cursor is not None and (self.after_seq if ascending else self.before_seq) is not None:
            raise HttpError(400, f"cursor: it means {'after_seq' if ascending else 'before_seq'} here. Send one of them.")
        after = self.cursor if ascending and self.cursor is not None else self.after_seq
        before = self.cursor if not ascending and self.cursor is not None else self.before_seq
        return reading.Window(self.limit, ascending, after, before, self.visible)


class MessageOut(Schema):
    seq: int
    role: Literal["user", "assistant"]
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


class CompactionOut(Schema):
    summary: str
    summarized_through_seq: int


class MessageList(Schema):
    object: Literal["list"]
    data: list[MessageOut]
    has_more: bool
    next_after_seq: int | None
    next_before_seq: int | None
    compaction: CompactionOut | None


class Stopped(Schema):
    id: str
    object: Literal["turn"]
    status: str


@router.post(
    "/threads/{uuid:thread_id}/messages",
    response=Answer,
    tags=MESSAGES,
    summary="Send a message; the answer is streamed or returned",
    openapi_extra={"responses": {200: {"content": STREAM}}},
)
def send(request: HttpRequest, thread_id: UUID, payload: Send) -> HttpResponseBase:
    """An answer that takes longer than 25 s begins with white space; a failure after that has status 200 and the error as its body."""
    key = key_of(request)
    _own(request, thread_id)
    request_id, seen = _request_id(request), last_event(request)
    options = tool_options.checked(key.user_id, payload.tools_mode, payload.tools, payload.client_tools, payload.qlaud_runtime)
    _check_model(payload.model)
    options |= {name: value for name in PASSED_ON if (value := getattr(payload, name, None)) is not None}
    options |= {name: value for name, value in {"max_tokens": payload.max_tokens, "system": payload.system}.items() if value is not None}
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
    if not payload.stream:
        return LaterResponse(lambda: whole_answer(admission.turn_id, thread_id))
    after = index_in(_turn(request, thread_id, admission.turn_id), seen) if admission.replayed and seen is not None else None
    return LaterResponse(lambda: sse.turn_stream(admission.turn_id, thread_id, after, admission.position))


@router.get("/threads/{uuid:thread_id}/messages", response=MessageList, tags=MESSAGES, summary="History, by sequence number")
def list_messages(request: HttpRequest, thread_id: UUID, wanted: Annotated[Wanted, Query()]) -> dict[str, Any]:
    """The path that is read now. A row appears when it is whole: while an answer is written, the last row is its question."""
    thread = _own(request, thread_id)
    page = reading.page(key_of(request), thread, wanted.window())
    return {
        "object": "list",
        "data": [message_row(message, message.turn, thread.end_user_id) for message in page.rows],
        "has_more": page.has_more,
        "next_after_seq": page.next_after,
        "next_before_seq": page.next_before,
        "compaction": compaction_row(current(thread)),
    }


@router.get(
    "/threads/{uuid:thread_id}/turns/{uuid:turn_id}/events",
    response={200: None},
    tags=MESSAGES,
    summary="Resume a turn's stream",
    openapi_extra={"responses": {200: {"content": STREAM}}},
)
def events(request: HttpRequest, thread_id: UUID, turn_id: UUID, after: str | None = None) -> HttpResponseBase:
    """Everything behind `Last-Event-ID` (or `after`), then live until `qlaud.done`."""
    turn = _turn(request, thread_id, turn_id)
    seen = last_event(request, after)
    start = -1 if seen is None else index_in(turn, seen)
    position = queue_position(turn)
    return LaterResponse(lambda: sse.turn_stream(turn_id, thread_id, start, position))


@router.post(
    "/threads/{uuid:thread_id}/turns/{uuid:turn_id}/stop", response=Stopped, tags=MESSAGES, summary="Stop a turn; what it has written stays"
)
def stop(request: HttpRequest, thread_id: UUID, turn_id: UUID) -> dict[str, Any]:
    turn = _turn(request, thread_id, turn_id)
    actions.stop_turn(key_of(request).user, turn)
    return {"id": str(turn_id), "object": "turn", "status": turn.status if turn.over else "stopping"}


@router.get(
    "/threads/{uuid:thread_id}/events",
    response={200: None},
    tags=MESSAGES,
    summary="Live feed of a thread's messages",
    openapi_extra={"responses": {200: {"content": STREAM}}},
)
def feed(request: HttpRequest, thread_id: UUID) -> HttpResponseBase:
    """Events `message` (id: its seq) and `thread`; `Last-Event-ID: <seq>` resumes. Ends with `reconnect` after four minutes."""
    key = key_of(request)
    _own(request, thread_id)
    raw = request.headers.get("Last-Event-ID", "")
    after = min(int(raw), reading.HIGHEST) if DIGITS.fullmatch(raw) else 0
    return LaterResponse(lambda: thread_feed(key, thread_id, after))


def _own(request: HttpRequest, thread_id: UUID) -> Thread:
    return get_object_or_404(Thread.objects.for_key(key_of(request)), pk=thread_id)


def _turn(request: HttpRequest, thread_id: UUID, turn_id: UUID) -> Turn:
    return get_object_or_404(Turn.objects.for_key(key_of(request)), pk=turn_id, thread_id=thread_id)


def _request_id(request: HttpRequest) -> str:
    given = [request.headers[name] for name in ("Idempotency-Key", wire.HEADER_REQUEST_ALIAS) if name in request.headers]
    if len(set(given)) > 1:
        raise HttpError(400, "Idempotency-Key and x-qlaud-request-id differ. Send one of them.")
    if given and not (1 <= len(given[0]) <= 255 and given[0].isprintable()):
        raise HttpError(400, "Idempotency-Key: 1 to 255 printable characters.")
    return given[0] if given else str(uuid4())


def _check_model(slug: str) -> None:
    info = model_info(slug)
    if info is None or not is_offered(info):
        raise Refused(404, "not_found_error", f"model: there is none called {slug[:100]!r} here. GET /v1/models lists what there is.")
