"""One conversation with an MCP server: list its tools, or call one. The only import of the `mcp` SDK.

Importing it takes half a second and 40 MB, so nobody does before there is a server to talk to (see tools/mcp.py). Everything goes
through the guarded transport, and every call opens a session of its own: nothing of one person's is left for another's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
import mcp_types as wire
from anyio import ClosedResourceError
from mcp.client.client import Client
from mcp.client.session import ClientRequestContext
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp_types.methods import validate_server_result
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from chatai.lib.egress import EgressError
from chatai.lib.http import GuardedTransport
from tools.redaction import redact
from tools.values import Answer, Question

Kind = Literal["unauthorized", "unavailable", "timeout", "refused", "forbidden"]
Ask = Callable[[Question], Awaitable[Answer]]

MOST_BYTES = 4_000_000  # of one reply of a server
MOST_TOOLS = 500
MOST_PAGES = 50
PARTING_SECONDS = 3.0  # for telling the server that the session is over
FAILURES = (MCPError, EgressError, httpx2.HTTPError, httpx2.InvalidURL, ValidationError, ExceptionGroup, OSError, RuntimeError)

logger = logging.getLogger(__name__)


class McpFailure(Exception):  # noqa: N818 - mostly the other side's
    """No usable answer. The message is a sentence without addresses or secrets."""

    def __init__(self, kind: Kind, message: str, http_status: int | None = None, challenge: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.http_status = http_status
        self.challenge = challenge  # the WWW-Authenticate header of a 401


@dataclass(frozen=True, slots=True)
class Program:
    """A server that runs on this machine; only the operator's settings name one."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is and what is sent along."""

    name: str  # for people
    where: str | Program
    headers: Mapping[str, str]
    protocol: str = ""  # what it spoke last; empty means: find out
    secrets: tuple[str, ...] = ()  # that are sent along otherwise than in a header

    @property
    def hidden(self) -> list[str]:
        """What the server is told and nobody else may be, however often it repeats it."""
        env = self.where.env or {} if isinstance(self.where, Program) else {}
        return [value for value in (*self.headers.values(), *self.secrets, *env.values()) if value]


@dataclass(frozen=True, slots=True)
class Listed:
    """A tool as the server describes it."""

    name: str
    description: str
    input_schema: dict[str, Any]
    read_only: bool
    idempotent: bool


@dataclass(frozen=True, slots=True)
class Called:
    """What a tool answered."""

    content: list[dict[str, Any]]  # blocks in MCP's own shape
    structured: Any
    is_error: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server offers."""

    tools: list[Listed]
    unusable: list[str]  # names of tools that are no tools by the protocol, "?" where there is not even a name
    protocol: str  # to speak next time


async def list_tools(endpoint: Endpoint, seconds: float) -> Listing:
    """All tools. Raises McpFailure."""
    watched = _Watched()
    async with _session(endpoint, seconds, None, watched) as client:
        watched.version = client.protocol_version
        found: list[wire.Tool] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if not cursor or len(found) >= MOST_TOOLS:
                break
        modern = client.protocol_version in MODERN_PROTOCOL_VERSIONS
        return Listing(
            [_listed(tool, endpoint.hidden) for tool in found[:MOST_TOOLS]],
            watched.unusable,
            client.protocol_version if modern else "legacy",
        )


async def call_tool(
    endpoint: Endpoint, name: str, schema: dict[str, Any], arguments: dict[str, Any], seconds: float, ask: Ask | None
) -> Called:
    """One call of a tool with this input schema. While the person fills in a form, the clock stands still. Raises McpFailure."""
    async with _session(endpoint, seconds, ask, _Watched()) as client:
        # The list that the SDK would ask the server for after each call, to hold the answer against it.
        known = wire.ListToolsResult(tools=[wire.Tool(name=name, input_schema=schema)])
        client.session._absorb_tool_listing(known, complete=False)
        result = await client.call_tool(name, arguments)
        blocks = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]
        return Called(blocks, result.structured_content, result.is_error)


@asynccontextmanager
async def _session(endpoint: Endpoint, seconds: float, ask: Ask | None, watched: _Watched) -> AsyncIterator[Client]:
    try:
        async with asyncio.timeout(seconds) as clock, watched:
            client = Client(
                _transport(endpoint, watched),
                mode=endpoint.protocol or "auto",
                client_info=wire.Implementation(name="chatai", version="1"),
                elicitation_callback=_form(endpoint.name, ask, clock) if ask else None,
                cache=None,
            )
            async with client:
                yield client
    except TimeoutError:
        raise McpFailure("timeout", f"{endpoint.name} did not answer within {seconds:g} seconds.", watched.status) from None
    except FAILURES as error:
        failure = _failure(endpoint.name, watched, error)
        failure.message = redact(failure.message, endpoint.hidden)
        raise failure from None


@asynccontextmanager
async def _transport(endpoint: Endpoint, watched: _Watched) -> AsyncIterator[Any]:
    if isinstance(endpoint.where, Program):
        program = endpoint.where
        plain = stdio_client(StdioServerParameters(command=program.command, args=list(program.args), env=dict(program.env or {})))
    else:
        http = httpx2.AsyncClient(transport=watched, headers=dict(endpoint.headers), timeout=None, follow_redirects=False)
        plain = streamable_http_client(endpoint.where, http_client=http)
    async with plain as (incoming, outgoing):
        yield _Sorted(incoming, watched), outgoing


class _Sorted:
    """What a server says, without tools that the protocol knows no such of: for one of them the SDK refuses the whole list."""

    def __init__(self, inner: Any, watched: _Watched) -> None:
        self._inner = inner
        self._watched = watched

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __aenter__(self) -> _Sorted:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        handled: bool | None = await self._inner.__aexit__(*error)
        return handled

    def __aiter__(self) -> _Sorted:
        return self

    async def __anext__(self) -> Any:
        return self._watched.sorted(await self._inner.__anext__())


class _Watched(httpx2.AsyncBaseTransport):
    """The guarded transport, and what was seen in a session that the SDK does not pass on."""

    def __init__(self) -> None:
        self._inner = GuardedTransport(MOST_BYTES)
        self.status: int | None = None
        self.challenge = ""
        self.refusal: EgressError | None = None
        self.version = ""  # of the protocol, once it is agreed on
        self.unusable: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":  # said after the answer is there: nobody waits long for its reply
            request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), PARTING_SECONDS)
        try:
            response = await self._inner.handle_async_request(request)
        except EgressError as error:
            self.refusal = error
            raise httpx2.ConnectError(error.message, request=request) from None
        if request.method == "POST":
            self.status = response.status_code
            if response.status_code == 401:
                self.challenge = response.headers.get("www-authenticate", "")
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    def sorted(self, item: Any) -> Any:
        """A message of the server, a list of tools without those that are none."""
        result = getattr(item.message, "result", None) if isinstance(item, SessionMessage) else None
        if self.version and isinstance(result, dict) and isinstance(result.get("tools"), list):
            result["tools"] = [tool for tool in result["tools"] if self._is_tool(result, tool)]
        return item

    def _is_tool(self, page: Mapping[str, Any], tool: Any) -> bool:
        try:
            validate_server_result("tools/list", self.version, {**page, "tools": [tool]})
        except ValidationError as error:
            if any(fault["loc"][:1] != ("tools",) for fault in error.errors()):
                return True  # the page itself is wrong; let the SDK say so
            name = tool.get("name") if isinstance(tool, dict) else None
            self.unusable.append(name[:128] if isinstance(name, str) and name else "?")
            return False
        return True


def _form(asked_by: str, ask: Ask, clock: asyncio.Timeout) -> Any:
    async def elicit(context: ClientRequestContext, params: wire.ElicitRequestParams) -> wire.ElicitResult:
        if not isinstance(params, wire.ElicitRequestFormParams):
            return wire.ElicitResult(action="decline")  # an address to open: nobody could tell where it leads
        loop = asyncio.get_running_loop()
        left = (clock.when() or loop.time()) - loop.time()
        clock.reschedule(None)
        try:
            schema = params.requested_schema
            form = schema if isinstance(schema, dict) else schema.model_dump(mode="json", by_alias=True, exclude_none=True)
            answer = await ask(Question(params.message, form, asked_by))
        finally:
            clock.reschedule(loop.time() + left)
        content = dict(answer.content) if answer.action == "accept" else None
        return wire.ElicitResult(action=answer.action, content=content)

    return elicit


def _failure(name: str, watched: _Watched, error: Exception) -> McpFailure:
    status = watched.status
    if watched.refusal is not None:
        kinds: dict[str, Kind] = {"forbidden": "forbidden", "timeout": "timeout"}
        return McpFailure(kinds.get(watched.refusal.kind, "unavailable"), watched.refusal.message, status)
    if status in (401, 403):
        return McpFailure("unauthorized", f"{name} wants to be connected again (HTTP {status}).", status, watched.challenge)
    if status is not None and status >= 300:
        return McpFailure("unavailable" if status >= 500 else "refused", f"{name} answered with HTTP {status}.", status)
    inner = _first(error)
    if isinstance(inner, EgressError):  # in the middle of an answer
        return McpFailure("unavailable", inner.message, status)
    if isinstance(inner, MCPError) and status is not None:
        return McpFailure("refused", f"{name}: {inner.message[:500]}", status)
    if isinstance(inner, ValidationError):
        return McpFailure("unavailable", f"{name} answered with something that is not MCP.", status)
    logger.info("MCP server failed: %s", type(inner).__name__)
    return McpFailure("unavailable", f"{name} could not be reached, or is not an MCP server.", status)


def _first(error: BaseException) -> BaseException:
    """What really happened, out of the groups that task groups wrap it in. A stream that closed is only how it ended."""
    while isinstance(error, BaseExceptionGroup):
        inner = [one for one in error.exceptions if not isinstance(one, ClosedResourceError)]
        error = (inner or list(error.exceptions))[0]
    return error


def _listed(tool: wire.Tool, hidden: list[str]) -> Listed:
    hints = tool.annotations or wire.ToolAnnotations()
    description, schema = redact([tool.description or hints.title or "", tool.input_schema], hidden)
    return Listed(tool.name, description, schema, bool(hints.read_only_hint), bool(hints.idempotent_hint))
