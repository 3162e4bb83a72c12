"""What a caller is told when the provider failed before there was anything to show (contract, 1.2)."""

from __future__ import annotations

from django.http import HttpResponse

from chatai.lib.wire import error_body
from threads.blocks import dump_json
from threads.models import Turn

STATUS = {"billing_error": 402, "rate_limit": 429, "overloaded": 529, "too_long": 400, "invalid": 400, "refused": 400, "not_found": 404}
AGAIN = {429, 529}
RETRY_AFTER = 5  # seconds; the provider's own figure is in the sentence
DELETED = "The conversation was deleted."
WITHDRAWN = "The message was taken back before it was answered."


def status_of(turn: Turn) -> int:
    return 409 if turn.ring is None else STATUS.get(turn.error_kind, 502)


def failure(turn: Turn) -> HttpResponse:
    status = status_of(turn)
    body = error_body(status, turn.error_message or WITHDRAWN)
    response = HttpResponse(dump_json(body), status=status, content_type="application/json")
    if status in AGAIN:
        response["Retry-After"] = str(RETRY_AFTER)
    return response


def deleted() -> HttpResponse:
    return HttpResponse(dump_json(error_body(404, DELETED)), status=404, content_type="application/json")
