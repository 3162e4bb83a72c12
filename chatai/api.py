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
from billing.api import router as usage_router
from chatai.edge import FAULT, TOO_LARGE
from chatai.lib.border import BadBody, read_json
from chatai.lib.wire import HEADER_TRACE, error_body
from chatai.openapi import Page, completed
from search.api import router as search_router
from threads.actions import Refused
from threads.api import router as threads_router
from threads.message_api import router as messages_router
from threads.models_api import router as models_router
from threads.tools_api import router as turn_tools_router
from tools.api import router as tools_router
from tools.connection_api import router as connections_router
from tools.mcp_api import router as mcp_router

logger = logging.getLogger(__name__)

MOST_WITHOUT_FILES = 4 * 1024 * 1024  # bytes; with files DATA_UPLOAD_MAX_MEMORY_SIZE
# Parts of pydantic's location of an error that name our code or a type, not a field of the caller's.
UNSAID = {"body", "query", "path", "payload", "wanted", "str"}
SENTENCES = {"string_type": "a string is wanted", "missing": "this field is required"}


class Json(BaseRenderer):
    """Compact UTF-8, in the order given."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return msgspec.json.encode(data)


class AnyLabel(Parser):
    """Bodies are JSON whatever their content type says."""

    def parse_body(self, request: HttpRequest) -> Any:
        value = read_json(request.body)
        if not isinstance(value, dict):
            raise BadBody("The body is a JSON object.")
        if len(request.body) > MOST_WITHOUT_FILES and not _has_files(value.get("content")):
            raise RequestDataTooBig("The body is larger than 4 MiB, and only one with images or documents may be.")
        return value


def _has_files(content: Any) -> bool:
    return isinstance(content, list) and any(isinstance(block, dict) and "source" in block for block in content)


class Api(NinjaAPI):
    def get_openapi_schema(self, **given: Any) -> Any:
        return completed(super().get_openapi_schema(**given))


api = Api(
    title="chatai",
    version="1",
    description="Threads, streamed turns, history and keys. Authenticate with `Authorization: Bearer <key>` or `x-api-key: <key>`.",
    urls_namespace="v1",
    auth=any_key,
    docs=Page(),
    parser=AnyLabel(),
    renderer=Json(),
)
api.add_router("/keys", keys_router)
api.add_router("", threads_router)
api.add_router("", messages_router)
api.add_router("", turn_tools_router)
api.add_router("", models_router)
api.add_router("", search_router)
api.add_router("", usage_router)
api.add_router("", tools_router)
api.add_router("", connections_router)
api.add_router("", mcp_router)


def _refuse(request: HttpRequest, status: int, message: str, kind: str = "", retry_after: int | None = None, **facts: Any) -> HttpResponse:
    response = api.create_response(request, error_body(status, message, kind, **facts), status=status)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


@api.exception_handler(NotAllowed)
def _not_allowed(request: HttpRequest, error: NotAllowed) -> HttpResponse:
    return _refuse(request, error.status, error.message)


@api.exception_handler(Refused)
def _refused(request: HttpRequest, error: Refused) -> HttpResponse:
    return _refuse(request, error.status, error.message, error.kind, error.retry_after, **error.facts)


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    match error.__cause__:  # ninja puts its own words over what a parser raised
        case BadBody() as cause:
            return _refuse(request, 400, str(cause))
        case RequestDataTooBig() as cause:
            return _refuse(request, 413, str(cause))
    return _refuse(request, error.status_code, str(error))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return _refuse(request, 404, "There is no such thing, or it is not yours.")


@api.exception_handler(RequestDataTooBig)
def _too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return _refuse(request, 413, TOO_LARGE)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    where = ".".join(str(part) for part in first.get("loc", ()) if part not in UNSAID and "[" not in str(part))
    what = SENTENCES.get(first.get("type", "")) or str(first.get("msg", "invalid")).removeprefix("Value error, ")
    return _refuse(request, 400, f"{where}: {what}" if where else what)


@api.exception_handler(Exception)
def _fault(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.exception("%s %s failed (x-request-id %s)", request.method, request.path, request.headers[HEADER_TRACE])
    return _refuse(request, 500, FAULT)
