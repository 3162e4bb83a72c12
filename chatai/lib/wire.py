"""The names that are fixed on the wire (contract, decision 1) and the one error envelope, for everything under /v1."""

from typing import Any

KEY_PREFIX = "qlk_live_"
HEADER_THREAD = "x-qlaud-thread-id"
HEADER_TURN = "x-qlaud-turn-id"
HEADER_ASSISTANT_SEQ = "x-qlaud-assistant-seq"
HEADER_MODEL = "x-qlaud-resolved-model"
HEADER_REQUEST_ALIAS = "x-qlaud-request-id"
HEADER_TRACE = "x-request-id"
EVENT_QUEUED = "qlaud.queued"
EXPOSED_HEADERS = (HEADER_THREAD, HEADER_TURN, HEADER_ASSISTANT_SEQ, HEADER_MODEL, HEADER_TRACE, "retry-after")
ACCEPTED_HEADERS = (
    *("authorization", "x-api-key", "content-type", "last-event-id", "idempotency-key", "anthropic-version", "anthropic-beta"),
    *(HEADER_REQUEST_ALIAS, HEADER_TRACE, "cache-control"),
)

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "idempotency_error",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def error_body(status: int, message: str, kind: str = "", **more: Any) -> dict[str, Any]:
    """What every failure under /v1 answers; `message` is a sentence that may be shown."""
    return {"type": "error", "error": {"type": kind or ERROR_TYPES.get(status, "api_error"), "message": message, **more}}
