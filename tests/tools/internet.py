"""A small internet for tests of what leaves the machine: one server, names that resolve as a test says, and a watch on every connect."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import unquote

_watches: list[list[tuple[str, int]]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _watches and isinstance(arguments[1], tuple):
        for seen in _watches:
            seen.append((arguments[1][0], arguments[1][1]))


sys.addaudithook(_audit)  # the interpreter tells of every connect, whatever library makes it; there is no taking it back


@contextmanager
def connects() -> Iterator[list[tuple[str, int]]]:
    """(address, port) of every connection that is tried meanwhile."""
    seen: list[tuple[str, int]] = []
    _watches.append(seen)
    try:
        yield seen
    finally:
        _watches.remove(seen)


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[Request, asyncio.StreamWriter], Any]


@dataclass
class Site:
    """A server on 127.0.0.1 that answers each path as it is told, and keeps what it was asked."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)

    def url(self, path: str = "/", host: str = "good.test") -> str:
        return f"http://{host}:{self.port}{path}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            request = Request(first.split(" ")[0], first.split(" ")[1], headers, body)
            self.requests.append(request)
            given = self.answers.get(request.path.partition("?")[0], missing)(request, writer)
            if asyncio.iscoroutine(given):
                await given
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # whoever asked has gone, or the test is over
        finally:
            writer.close()


def reply(status: int = 200, body: bytes | str = b"", **headers: str) -> Answer:
    data = body.encode() if isinstance(body, str) else body
    lines = {"content-length": str(len(data)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    whole = f"HTTP/1.1 {status} -\r\n{head}connection: close\r\n\r\n".encode() + data
    return lambda request, writer: writer.write(whole)


def said(value: Any, status: int = 200) -> Answer:
    """JSON."""
    return reply(status, json.dumps(value), content_type="application/json")


missing = reply(404, "nothing here")


def redirect(request: Request, writer: asyncio.StreamWriter) -> None:
    """/redirect?<status>,<quoted address>"""
    status, _, target = request.path.partition("?")[2].partition(",")
    reply(int(status), location=unquote(target))(request, writer)


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(100_000_000), 1)


def bomb(request: Request, writer: asyncio.StreamWriter) -> None:
    """100 MB of zeros, as 100 KB."""
    reply(body=_bomb(), content_type="text/plain", content_encoding="gzip")(request, writer)


async def drip(request: Request, writer: asyncio.StreamWriter) -> None:
    """One byte a second, for ever."""
    writer.write(b"HTTP/1.1 200 -\r\ncontent-type: text/plain\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(1)


async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 -\r\ncontent-type: text/plain\r\n\r\n")
    while True:
        writer.write(bytes(64 * 1024))
        await writer.drain()


async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    one = Site(
        answers={
            "/ok": reply(body="fine", content_type="text/plain"),
            "/redirect": redirect,
            "/bomb": bomb,
            "/drip": drip,
            "/endless": endless,
            "/hang": hang,
            "/html": reply(body="<h1>Hello</h1>", content_type="text/html"),
        }
    )
    server = await asyncio.start_server(one.handle, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


class Names:
    """Stands in for the resolver: what is not told here does not exist. A list in a list is one answer per look-up."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {"good.test": ["127.0.0.1"]}
        self.turns: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self._real = socket.getaddrinfo

    def getaddrinfo(self, host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        self.asked.append(name)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            turns = self.turns.get(name)
            found = (turns.pop(0) if len(turns) > 1 else turns[0]) if turns else self.known.get(name.lower().rstrip("."))
            if found is None:
                raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
            return [entry for address in found for entry in self._real(address, port, *rest, **more)]
        return self._real(host, port, *rest, **more)
