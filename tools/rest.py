"""JSON answers of routes that have to wait for something else: the same on the event loop, with the one error envelope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from django.http import HttpResponse

from chatai.lib.later import LaterResponse
from chatai.lib.wire import error_body
from tools.values import ToolError

STATUSES = {"not_connected": 409, "unknown": 404, "timeout": 502, "unavailable": 502}  # of ToolError.kind; the others are 400


def answer(decide: Callable[[], Awaitable[Any]]) -> LaterResponse:
    """What `decide` gives, as JSON; a ToolError as a failure with its sentence."""

    async def wait() -> HttpResponse:
        try:
            return _json(await decide(), 200)
        except ToolError as error:
            status = STATUSES.get(error.kind, 400)
            return _json(error_body(status, error.message), status)

    return LaterResponse(wait)


def _json(value: Any, status: int) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(value), status=status, content_type="application/json")
