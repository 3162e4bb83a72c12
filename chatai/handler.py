"""How an HTTP request reaches Django: one hop into a fixed pool of threads, and one hop back.

Django's own ASGI handler makes a thread pool for every request and hops once per middleware; its database connections live
as long as that thread, so each request also opens a new one. Here the whole synchronous chain (middlewares and view) runs on
a thread that stays, with a connection that stays. Measured: see docs/architecture.md.
"""

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from tempfile import SpooledTemporaryFile
from typing import IO, Any, TypeVar

from django.conf import settings
from django.core.exceptions import RequestAborted, RequestDataTooBig
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from chatai.lib import hints
from chatai.lib.later import LaterResponse

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Result = TypeVar("Result")


class ThreadedHandler(ASGIHandler):
    """Serves `http` scopes from `settings.WEB_THREADS` threads."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)
        self.threads = ThreadPoolExecutor(settings.WEB_THREADS, thread_name_prefix="web")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hints.bind_loop()
        try:
            body, size = await self._read(receive)
        except RequestAborted:
            return
        if size > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            # Said in a header, where Django looks for it: whoever asks for the body gets its refusal.
            headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
            scope = {**scope, "headers": [*headers, (b"content-length", str(size).encode())]}
        try:
            set_script_prefix(get_script_prefix(scope))
            request, refusal = self.create_request(scope, body)
            response = await self._respond(request) if request is not None else refusal
            assert response is not None  # create_request returns one or the other
            if isinstance(response, LaterResponse):
                response = await response.resolve()
            try:
                if response.streaming:
                    await self._send_while_there(response, receive, send)
                else:
                    await self.send_response(response, send)
            finally:
                if response.streaming:
                    await self._in_thread(response.close)
        finally:
            body.close()

    async def _read(self, receive: Receive) -> tuple[IO[bytes], int]:
        """The body and its size; of one that is too large nothing is kept. Raises RequestAborted."""
        body = SpooledTemporaryFile(settings.FILE_UPLOAD_MAX_MEMORY_SIZE)  # noqa: SIM115 - closed with the request
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                body.close()
                raise RequestAborted
            size += len(message.get("body", b""))
            if size <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
                body.write(message.get("body", b""))
            elif body.tell():
                body.seek(0)
                body.truncate()
            if not message.get("more_body", False):
                body.seek(0)
                return body, size

    async def _send_while_there(self, response: HttpResponseBase, receive: Receive, send: Send) -> None:
        """A stream ends with its reader: nothing is produced for a connection that is gone."""
        sending = asyncio.create_task(self.send_response(response, send))
        leaving = asyncio.create_task(self._disconnected(receive))
        await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending

    async def _disconnected(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _respond(self, request: ASGIRequest) -> HttpResponseBase:
        return await self._in_thread(self._respond_in_thread, request)

    def _respond_in_thread(self, request: HttpRequest) -> HttpResponseBase:
        close_old_connections()
        try:
            response = self.get_response(request)
        except RequestDataTooBig:
            response = HttpResponse("Too large.", status=413)
        response._handler_class = self.__class__  # type: ignore[attr-defined]
        if not response.streaming:
            response.close()  # here, where the connection is, and without another hop; its content stays
        return response

    async def _in_thread(self, call: Callable[..., Result], *args: Any) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, contextvars.copy_context().run, call, *args)
