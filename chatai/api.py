"""The API: one router per app, one error envelope for everything that can go wrong."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser
from ninja.renderers import BaseRenderer

from accounts.access import NotAllowed, any_key
from accounts.api import router as keys_router
from chatai.lib.wire import error_body
from threads.actions import Refused
from threads.api import router as threads_router
from threads.models_api import router as models_router

logger = logging.getLogger(__name__)


class Json(BaseRenderer):
    """Compact UTF-8, in the order given."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return msgspec.json.encode(data)


class AnyLabel(Parser):
    """Bodies are JSON whatever their content type says; none at all is an empty object."""

    def parse_body(self, request: HttpRequest) -> Any:
        body = request.body
        if not body.strip():
            return {}
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HttpError(400, f"The body is not valid JSON: {error}") from error


api = NinjaAPI(
    title="chatai",
    version="1",
    description="Threads, streamed turns, history and keys. Authenticate with `Authorization: Bearer <key>` or `x-api-key: <key>`.",
    urls_namespace="v1",
    auth=any_key,
    parser=AnyLabel(),
    renderer=Json(),
)
api.add_router("/keys", keys_router)
api.add_router("", threads_router)
api.add_router("", models_router)


def _refuse(request: HttpRequest, status: int, message: str, kind: str = "", retry_after: int | None = None) -> HttpResponse:
    response = api.create_response(request, error_body(status, message, kind), status=status)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


@api.exception_handler(NotAllowed)
def _not_allowed(request: HttpRequest, error: NotAllowed) -> HttpResponse:
    return _refuse(request, error.status, error.message)


@api.exception_handler(Refused)
def _refused(request: HttpRequest, error: Refused) -> HttpResponse:
    return _refuse(request, error.status, error.message, error.kind, error.retry_after)


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    return _refuse(request, error.status_code, str(error))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return _refuse(request, 404, "There is no such thing, or it is not yours.")


@api.exception_handler(RequestDataTooBig)
def _too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return _refuse(request, 413, "The body is larger than 32 MiB.")


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    where = ".".join(str(part) for part in first.get("loc", ()) if part not in ("body", "query", "path", "payload", "filters"))
    return _refuse(request, 400, f"{where}: {first.get('msg', 'invalid')}" if where else str(first.get("msg", "invalid")))


@api.exception_handler(Exception)
def _fault(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.exception("%s %s failed", request.method, request.path)
    return _refuse(request, 500, "Something went wrong on our side. It has been logged with this x-request-id.")
