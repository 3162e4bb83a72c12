"""What a caller is told when the provider failed before there was anything to show (contract, 1.2)."""

from __future__ import annotations

from django.http import HttpResponse

from chatai.lib.wire import error_body
from threads.blocks import dump_json
from threads.models import Turn

STATUS = {"billing_error": 402, "rate_limit": 429, "overloaded": 529, "too_long": 400, "invalid": 400, "refused": 400, "not_found": 404}
AGAIN = {429, 529}
RETRY_AFTER = 5  # seconds, where the provider did not say
DELETED = "The conversation was deleted."
WITHDRAWN = "The message was taken back before it was answered."


def status_of(turn: Turn) -> int:
    return 409 if turn.first_seq is None else STATUS.get(turn.error_kind, 502)


def failure(turn: Turn) -> HttpResponse:
    status = status_of(turn)
    seconds = (turn.retry_after or RETRY_AFTER) if status in AGAIN else None
    body = error_body(status, turn.error_message or WITHDRAWN)
    if seconds:
        body["error"]["retry_after"] = seconds
    response = HttpResponse(dump_json(body), status=status, content_type="application/json")
    if seconds:
        response["Retry-After"] = str(seconds)
    return response


def deleted() -> HttpResponse:
    return HttpResponse(dump_json(error_body(404, DELETED)), status=404, content_type="application/json")
