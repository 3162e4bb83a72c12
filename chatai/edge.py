"""What every reply under /v1 has, whatever happened."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from uuid import uuid4

import msgspec
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from chatai.lib import wire
from chatai.lib.later import LaterResponse

logger = logging.getLogger(__name__)

TRACE = re.compile(r"[\x21-\x7e]{1,128}")
TOO_LARGE = "The body is larger than 32 MiB."
FAULT = "Something went wrong on our side. It has been logged with this x-request-id."
SENTENCES = {404: "There is no such route.", 405: "This route does not take that method.", 413: TOO_LARGE, 500: FAULT}
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PATCH, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": ", ".join(wire.ACCEPTED_HEADERS),
    "Access-Control-Expose-Headers": ", ".join(wire.EXPOSED_HEADERS),
    "Access-Control-Max-Age": "86400",
}


class ApiEdge:
    """What every reply under /v1 has, whatever happened: a request id, CORS headers, errors in the envelope.

    Calls come from other people's browsers with a key, never with a cookie, so any origin may ask.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path != "/v1" and not request.path.startswith("/v1/"):
            return self.get_response(request)
        trace = request.META["HTTP_X_REQUEST_ID"] = _trace(request.META.get("HTTP_X_REQUEST_ID", ""))
        preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        response = HttpResponse(status=204) if preflight else self._answer(request)
        if isinstance(response, LaterResponse):
            response.decide = _guarded(response.decide, request)
        elif response.status_code >= 400 and not response.headers.get("Content-Type", "").startswith("application/json"):
            if response.status_code >= 500:
                logger.error("%s %s failed (x-request-id %s)", request.method, request.path, trace)
            response = _enveloped(response)
        response.headers[wire.HEADER_TRACE] = trace
        for name, value in CORS.items():
            response.headers[name] = value
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        try:
            if not request.body:
                request._body = b"{}"  # a body that is not there is an empty object
        except RequestDataTooBig:
            return HttpResponse(status=413)
        return self.get_response(request)


def _trace(given: str) -> str:
    return given if TRACE.fullmatch(given) else str(uuid4())


def _guarded(decide: Callable[[], Awaitable[HttpResponseBase]], request: HttpRequest) -> Callable[[], Awaitable[HttpResponseBase]]:
    """What is decided after the middlewares have run needs their care for faults as well."""

    async def guarded() -> HttpResponseBase:
        try:
            return await decide()
        except Exception:
            logger.exception("%s %s failed (x-request-id %s)", request.method, request.path, request.META["HTTP_X_REQUEST_ID"])
            return _enveloped(HttpResponse(status=500))

    return guarded


def _enveloped(response: HttpResponseBase) -> HttpResponse:
    """Django's own refusals (unknown route, wrong method, bad host) in the shape that callers parse."""
    status = response.status_code
    body = wire.error_body(status, SENTENCES.get(status, "The request was refused."))
    kept = {name: value for name, value in response.headers.items() if name in ("Allow", "Retry-After")}
    return HttpResponse(msgspec.json.encode(body), status=status, content_type="application/json", headers=kept)
