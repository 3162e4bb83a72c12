"""What went wrong with a provider, as one of the known kinds and as a sentence for the person who waits.

Sentences are written here and never quote the provider: what it sends may hold keys, prompts or another company's HTML.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from threads.providers.base import ErrorKind, ModelInfo, ProviderError

DETAIL_CHARS = 200
LONGEST_HINT = 3600.0  # seconds; a caller who is told to wait longer would not come back
SECRET = re.compile(r"(?i)\b(?:sk|rk|pk|key|bearer|token)[-_: ]+[\w*.\-]{6,}")

TOO_LONG = re.compile(
    r"prompt is too long|context[ _]length|context[ _](window|limit|size)|maximum context|exceeds? the .{0,20}context"
    r"|too many (input )?tokens|input is too long|request_too_large|exceeds? .{0,30}maximum .{0,20}tokens"
)
BILLING = re.compile(r"credit balance|insufficient_quota|current quota|billing|out of credits?|payment")
REFUSED = re.compile(r"content_policy|content_filter|content management policy|moderation|flagged|usage polic")
NOT_FOUND = re.compile(r"model_not_found|not_found|does not exist|model .{0,80}not found")
BY_STATUS: dict[int, ErrorKind] = {
    401: "authentication",
    402: "billing",
    403: "authentication",
    404: "not_found",
    408: "timeout",
    413: "too_long",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
BY_TYPE: dict[str, ErrorKind] = {
    "authentication_error": "authentication",
    "permission_error": "authentication",
    "invalid_api_key": "authentication",
    "billing_error": "billing",
    "insufficient_quota": "billing",
    "not_found_error": "not_found",
    "model_not_found": "not_found",
    "rate_limit_error": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
    "overloaded_error": "overloaded",
    "timeout_error": "timeout",
    "invalid_request_error": "invalid",
    "request_too_large": "too_long",
    "context_length_exceeded": "too_long",
    "content_policy_violation": "refused",
}
RETRYABLE: frozenset[ErrorKind] = frozenset({"rate_limit", "overloaded", "timeout", "connection", "cut", "malformed", "server"})


@dataclass(frozen=True, slots=True)
class Vendor:
    """Who is called, in words for people and operators."""

    name: str  # as in "Anthropic is overloaded"
    setting: str  # the variable an operator has to look at

    def error(
        self, kind: ErrorKind, model: ModelInfo, detail: str = "", *, status: int | None = None, retry_after: float | None = None
    ) -> ProviderError:
        sentence = self._sentence(kind, model, retry_after)
        return ProviderError(kind, sentence, kind in RETRYABLE, retry_after=retry_after, status=status, detail=detail)

    def refusal(self, model: ModelInfo, status: int | None, headers: Mapping[str, str], body: object) -> ProviderError:
        """The error for an HTTP answer that is no success, or (`status` None) for an error object inside a stream."""
        error = _error_object(body)
        kind = classify(status, str(error.get("type") or ""), str(error.get("code") or ""), str(error.get("message") or ""))
        parts = [f"HTTP {status}" if status else "in stream", error.get("type"), error.get("code"), scrub(str(error.get("message") or ""))]
        parts.append(headers.get("request-id") or headers.get("x-request-id"))
        return self.error(kind, model, " · ".join(str(part) for part in parts if part), status=status, retry_after=retry_after(headers))

    def _sentence(self, kind: ErrorKind, model: ModelInfo, wait: float | None) -> str:
        name, retry = self.name, "Try again in a moment, or choose another model."
        match kind:
            case "authentication":
                return f"{name} refused the key it was called with. An operator has to check {self.setting}; other models may work."
            case "billing":
                return f"The operator's account with {name} is out of credit. It has to be topped up; other models may work."
            case "rate_limit" if wait:
                return f"{name} is getting too many requests from here. Try again in {max(1, round(wait))} s, or choose another model."
            case "rate_limit":
                return f"{name} is getting too many requests from here. {retry}"
            case "overloaded":
                return f"{name} is overloaded at the moment. {retry}"
            case "too_long":
                return f"This chat has become longer than {model.label} can read. Start a new chat, or choose a model with a larger window."
            case "invalid":
                return f"{name} did not accept this request. Choose another model; an operator finds the reason in the trace of this turn."
            case "refused":
                return f"{name} declined to answer this for reasons of its content policy. Put it differently, or choose another model."
            case "not_found":
                return f"{name} does not know the model {model.label}. Choose another one; an operator has to correct the list of models."
            case "timeout":
                return f"{name} did not answer in time. {retry}"
            case "connection":
                return f"{name} could not be reached. {retry}"
            case "cut":
                return f"The answer broke off: {name} closed the connection before its end. Try again."
            case "malformed":
                return f"{name} sent something that cannot be read as an answer. {retry}"
            case "server":
                return f"{name} had an internal error. {retry}"


def classify(status: int | None, type_: str, code: str, message: str) -> ErrorKind:
    """The kind of an error by what is known of it; the text decides only where status and type are too coarse."""
    text = f"{type_} {code} {message}".lower()
    if BILLING.search(text) and status != 401:
        return "billing"
    if status in (None, 400, 413, 422) and TOO_LONG.search(text):
        return "too_long"
    if status in (None, 400, 403, 422) and REFUSED.search(text):
        return "refused"
    if status is not None and status in BY_STATUS:
        return BY_STATUS[status]
    if status == 400 and NOT_FOUND.search(text):
        return "not_found"
    by_type = BY_TYPE.get(code) or BY_TYPE.get(type_)
    if status is None or status >= 500:
        return by_type or "server"
    return "invalid"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the provider asks to wait, from `retry-after-ms` or `retry-after` (seconds or a date); at most LONGEST_HINT."""
    value = headers.get("retry-after", "")
    milliseconds, seconds = _number(headers.get("retry-after-ms", "")), _number(value)
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    if seconds is not None:
        return _bounded(seconds)
    try:
        return _bounded((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_HINT)


def scrub(message: str) -> str:
    """A provider's own words, shortened and without anything that looks like a key: for the trace, not for people."""
    return SECRET.sub("[hidden]", " ".join(message.split()))[:DETAIL_CHARS]


def _error_object(body: object) -> dict[str, Any]:
    """The `error` member of an error answer; some servers send a string there, or no wrapper."""
    if not isinstance(body, dict):
        return {}
    error = body.get("error", body)
    return error if isinstance(error, dict) else {"message": error}
