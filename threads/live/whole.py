"""The answer as one JSON body, for a send without streaming."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from threads.blocks import dump_json
from threads.live import sse
from threads.live.tailer import tailer
from threads.live.upstream import deleted, failure
from threads.models import Turn
from threads.wire import final_message

FIRST_BYTE = 25.0  # seconds; routers of Heroku-style hosts give up after 30 without a byte
SPACE_EVERY = 15.0  # and cut a reply that is silent for 55: white space before JSON means nothing


async def whole_answer(turn_id: UUID, thread_id: UUID) -> HttpResponseBase:
    """Waits for the end of the turn, or until it waits for a person.

    Past FIRST_BYTE the status is 200 already, and a failure shows in the body alone.
    """
    try:
        turn = await sse.settled(turn_id, thread_id, FIRST_BYTE)
        response = await _outcome(turn) if turn.settled else StreamingHttpResponse(_late(turn), content_type="application/json")
    except sse.TurnGone:
        return deleted()
    for name, value in sse.turn_headers(turn).items():
        response.headers[name] = value
    return response


async def _late(turn: Turn) -> AsyncIterator[bytes]:
    try:
        while not turn.settled:
            yield b" "
            turn = await sse.settled(turn.pk, turn.thread_id, SPACE_EVERY)
        yield (await _outcome(turn)).content
    except sse.TurnGone:
        yield deleted().content


async def _outcome(turn: Turn) -> HttpResponse:
    """A failure is one even when some text had arrived: that is in the history, and here it would pass for an answer."""
    async with tailer().reads() as feed:
        answer = await feed.answer(turn.pk)
    if answer is None or turn.status in (Turn.Status.FAILED, Turn.Status.INTERRUPTED):
        return failure(turn)
    return HttpResponse(dump_json(final_message(answer, turn)), content_type="application/json")
