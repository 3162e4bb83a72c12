"""The answer as one JSON body, for a send without streaming."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from chatai.lib.wire import error_body
from threads.blocks import dump_json
from threads.live import sse
from threads.models import Message, Turn
from threads.wire import final_message

FIRST_BYTE = 25.0  # seconds; routers of Heroku-style hosts give up after 30 without a byte
SPACE_EVERY = 15.0  # and cut a reply that is silent for 55: white space before JSON means nothing
# What an upstream failure answers, by kind (contract, 1.2).
STATUS = {"rate_limit": 429, "overloaded": 529, "too_long": 400, "invalid": 400, "refused": 400, "not_found": 404}


async def whole_answer(turn_id: UUID, thread_id: UUID) -> HttpResponseBase:
    """Waits for the end of the turn. Past FIRST_BYTE the status is 200 already, and a failure shows in the body alone."""
    turn = await sse.finished(turn_id, thread_id, FIRST_BYTE)
    if not turn.over:
        return _with_headers(StreamingHttpResponse(_late(turn), content_type="application/json"), turn)
    status, body = await sync_to_async(_outcome)(turn)
    return _with_headers(HttpResponse(dump_json(body), status=status, content_type="application/json"), turn)


async def _late(turn: Turn) -> AsyncIterator[bytes]:
    while not turn.over:
        yield b" "
        until = time.monotonic() + SPACE_EVERY
        turn = await sse.finished(turn.pk, turn.thread_id, until - time.monotonic())
    _, body = await sync_to_async(_outcome)(turn)
    yield dump_json(body).encode()


def _outcome(turn: Turn) -> tuple[int, dict[str, Any]]:
    answer = Message.objects.filter(turn=turn, role=Message.Role.ASSISTANT).order_by("-seq").first()
    if answer is None or (turn.status == Turn.Status.FAILED and not answer.content):
        status = STATUS.get(turn.error_kind, 502)
        return status, error_body(status, turn.error_message or "The message was taken back before it was answered.")
    return 200, final_message(answer, turn)


def _with_headers(response: HttpResponseBase, turn: Turn) -> HttpResponseBase:
    for name, value in sse.turn_headers(turn).items():
        response.headers[name] = value
    return response
