"""What every reply under /v1 has, whatever happened."""

import re
from collections.abc import Callable
from uuid import uuid4

import msgspec
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from chatai.lib import wire
from chatai.lib.later import LaterResponse

TRACE = re.compile(r"[\x21-\x7e]{1,128}")
SENTENCES = {404: "There is no such route.", 405: "This route does not take that method.", 413: "The body is larger than 32 MiB."}
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
        if not request.path.startswith("/v1/"):
            return self.get_response(request)
        preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        response = HttpResponse(status=204) if preflight else self.get_response(request)
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        if response.status_code >= 400 and not is_json and not isinstance(response, LaterResponse):
            response = _enveloped(response)
        given = request.headers.get(wire.HEADER_TRACE, "")
        response.headers[wire.HEADER_TRACE] = given if TRACE.fullmatch(given) else str(uuid4())
        for name, value in CORS.items():
            response.headers[name] = value
        return response


def _enveloped(response: HttpResponseBase) -> HttpResponse:
    """Django's own refusals (unknown route, wrong method, bad host) in the shape that callers parse."""
    status = response.status_code
    body = wire.error_body(status, SENTENCES.get(status, "The request was refused."))
    kept = {name: value for name, value in response.headers.items() if name in ("Allow", "Retry-After")}
    return HttpResponse(msgspec.json.encode(body), status=status, content_type="application/json", headers=kept)
