"""The short way of a message from a page: on the event loop, in one statement, past every middleware that has nothing to say of it.

It only says yes. Whatever is not plainly in order (nobody is signed in, the token of the form is missing, there is no money, the
conversation is new, the message was sent before, PostgreSQL is away) goes the long way to `views.send`, which answers as it always does;
so does now and then a message for which this process has to read something anew, such as the catalogue.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation, SynchronousOnlyOperation, ValidationError
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware

from accounts.signed_in import Known, known_by
from chatai.lib import hints
from chatai.lib.link import Links
from chatai.lib.postgres import conninfo
from threads import forms
from threads.access import wants_fragment
from threads.actions import Refused, admit_known
from threads.providers import catalog
from threads.tool_options import FROM_A_PAGE

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ADDRESS = re.compile(r"/c/([0-9a-f-]{36})/send")
CONNECTIONS = 4  # at most; kept for as long as they are used
PATIENCE = 1.0  # seconds for a connection, before the long way waits for one
MOST_KNOWN = 1000  # people
# Refusals, nonsense, a database that is away, and what this process would have to read anew.
EXPECTED = (
    Refused,
    BadRequest,
    SuspiciousOperation,
    ValidationError,
    MultiPartParserError,
    SynchronousOnlyOperation,
    ValueError,
    LookupError,
    psycopg.Error,
    TimeoutError,
)


class _Token(CsrfViewMiddleware):
    """Django's check alone: the long way does the refusing."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


class SendDoor:
    """In front of `otherwise`, the application that all other requests go to."""

    def __init__(self, otherwise: Application, dress: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.otherwise = otherwise
        self.dress = dress  # gives the empty answer its headers
        self.token, self.security = _Token(_empty), SecurityMiddleware(_empty)
        self.links: Links | None = None
        self.known: dict[str, Known] = {}  # by session, the one that sent last at the end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = ADDRESS.fullmatch(scope["path"]) if scope["method"] == "POST" and not scope.get("root_path") else None
        if found is None:
            await self.otherwise(scope, receive, send)
            return
        first = await receive()
        if first["type"] == "http.request" and not first.get("more_body"):
            request = ASGIRequest(scope, BytesIO(first.get("body", b"")))
            if await self._took_in(request, found[1]):
                response = self.dress(request)
                headers = [(name.encode("ascii"), value.encode("latin1")) for name, value in response.items()]
                await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
                await send({"type": "http.response.body"})
                return
        await self.otherwise(scope, _again(first, receive), send)

    async def _took_in(self, request: ASGIRequest, thread: str) -> bool:
        try:
            return await self._admitted(request, thread)
        except EXPECTED:
            return False
        except Exception:  # the long way fails as well, or does it: the message is not lost, but somebody should read this
            logger.exception("a message took the long way")
            return False

    async def _admitted(self, request: ASGIRequest, thread: str) -> bool:
        if not (wants_fragment(request) and self._is_ours(request)):
            return False
        key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        sent = forms.sent(request.POST)
        if not key or sent["new"]:
            return False
        hints.bind_loop()
        if self.links is None:
            self.links = Links(conninfo("chatai-sends"), CONNECTIONS, PATIENCE)
        async with self.links.one() as link:
            known = self.known.pop(key, None) or await known_by(link, key)
            if known is None:
                return False
            stored = await admit_known(
                link,
                known,
                UUID(thread),
                content=sent["text"],
                model=sent["model"] or catalog.default_model(),
                request_id=str(sent["request_id"]),
                options=dict(FROM_A_PAGE),
            )
        if stored:  # else whatever was known may be so no longer
            self.known[key] = known
            if len(self.known) > MOST_KNOWN:
                del self.known[next(iter(self.known))]
        return stored

    def _is_ours(self, request: ASGIRequest) -> bool:
        """Whether Django's own checks let it through: the scheme, the host, and the form's token and origin."""
        request.get_host()  # raises DisallowedHost
        self.token.process_request(request)
        refused = self.security.process_request(request) or self.token.process_view(request, _empty, (), {})
        return refused is None


def _again(first: Message, receive: Receive) -> Receive:
    """`receive` with the message that was taken from it."""
    taken = [first]

    async def receive_again() -> Message:
        return taken.pop() if taken else await receive()

    return receive_again


def _empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)
