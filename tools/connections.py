"""What may be connected, and connecting it: behind qlaud_manage_connections, `/v1/connections`, the hosted page and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from tools import connect_links, credentials, leftovers, mcp, mcp_catalog, mcp_lists, mcp_servers, registry, tokens
from tools.arguments import misfit
from tools.connected import Connection, ConnectLink, Leftover, McpServer
from tools.database import in_thread
from tools.holders import ACCOUNT, holder_of
from tools.mcp_catalog import Entry
from tools.models import RegisteredTool
from tools.registry import Builtin
from tools.values import Caller, JsonSchema, ToolError

if TYPE_CHECKING:
    from tools.mcp_session import Listing

ACTIONS = ("status", "connect", "list", "disconnect")


@dataclass(frozen=True, slots=True)
class Target:
    """A service that somebody can connect: an MCP server, one of the catalogue that nobody registered yet, or built-in tools."""

    name: str  # as the model says it
    title: str  # as people say it
    server: McpServer | None = None
    entry: Entry | None = None
    builtin: Builtin | None = None

    @property
    def service(self) -> str:
        """What its connections are filed under; empty while nobody can have one."""
        if self.builtin is not None:
            return self.builtin.service
        return self.server.service if self.server else ""

    @property
    def schema(self) -> JsonSchema | None:
        """What somebody with credentials at hand is asked for; None where only a sign-in works."""
        if self.builtin is not None:
            return self.builtin.config_schema
        return self.entry.config_schema if self.entry and (self.entry.fields or self.entry.open) else None

    @property
    def signs_in(self) -> bool:
        """Whether one can sign in on the vendor's own page."""
        return self.builtin is None and (self.entry.signs_in if self.entry else True)


def find(user_id: UUID, name: str) -> Target | None:
    """Of "qlaud-mcp/linear", "linear", "linear/create_issue", "qlaud-builtin/send-email" or the name of a registered tool."""
    kind, _, rest = name.partition("/")
    if kind != "qlaud-builtin":
        short = rest if kind == "qlaud-mcp" else kind
        server = McpServer.objects.for_user(user_id).filter(name=short, auth_mode=McpServer.AuthMode.PER_USER).first()
        if server is not None:
            return of_server(server)
        entry = mcp_catalog.entry(short)
        if entry is not None:
            made = McpServer.objects.for_user(user_id).filter(catalog_slug=entry.slug, auth_mode=McpServer.AuthMode.PER_USER).first()
            return of_server(made) if made else Target(entry.wire_name, entry.name, entry=entry)
    row = RegisteredTool.objects.for_user(user_id).filter(name=name, kind=RegisteredTool.Kind.BUILTIN).first()
    one = registry.builtin(row.provider if row else name)
    return of_builtin(one) if one and one.auth_mode in ("per_user", "either") else None


def of_server(server: McpServer) -> Target:
    entry = mcp_catalog.entry(server.catalog_slug) if server.catalog_slug else None
    return Target(server.wire_name, entry.name if entry else server.name, server=server, entry=entry)


def of_builtin(one: Builtin) -> Target:
    return Target(f"qlaud-builtin/{one.slug}", one.brand if one.connection else one.display_name, builtin=one)


async def manage(caller: Caller, action: str, tool: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One action of qlaud_manage_connections, for whoever the caller's turn is about. Raises ToolError."""
    if action not in ACTIONS:
        raise ToolError(f"action: one of {', '.join(ACTIONS)}.", "invalid")
    holder = await holder_of(caller)
    if action == "list":
        return {"tools": await in_thread(listing, caller.user_id, holder)}
    target = await in_thread(find, caller.user_id, tool)
    if target is None:
        raise ToolError(f"There is nothing called {tool[:80]!r} to connect. qlaud_search_tools finds what there is.", "unknown")
    if action == "disconnect":
        connection = await in_thread(_mine, caller.user_id, holder, target)
        if connection is not None:
            await disconnect(connection)
        return {"tool": tool, "status": "not_connected", "disconnected": connection is not None}
    if action == "connect":
        if given is not None:
            await connect(caller.user_id, holder, target, given)
            return {"tool": tool, "status": "connected", "connected": True}
        url, expires_at = await in_thread(link, caller.user_id, holder, target, caller.thread_id)
        return {"tool": tool, "connect_url": url, "expires_at": int(expires_at.timestamp() * 1000)}
    return await in_thread(_status, caller.user_id, holder, target, tool)


async def connect(user_id: UUID, holder: str, target: Target, given: Mapping[str, Any], *, by: ConnectLink | None = None) -> Connection:
    """Keeps credentials that somebody has at hand, once an MCP server took them; spends the link `by` which they came. Raises ToolError."""
    if target.schema is None:
        raise ToolError(f"{target.title} takes no credentials: people sign in there. Use connect without credentials.", "invalid")
    if wrong := misfit(target.schema, dict(given)):
        raise ToolError(wrong.replace("arguments", "credentials"), "invalid")
    server = None if target.builtin else await in_thread(server_of, user_id, target)
    found = await _tried(target, server, given) if server else None
    if by is not None and not await in_thread(connect_links.spend, by):
        raise ToolError("This link has been used already.", "refused")
    service = server.service if server else target.service
    connection = await in_thread(credentials.keep, user_id, holder, service, server, dict(given))
    if server is not None and found is not None:
        await in_thread(mcp_lists.keep, server, connection, found)
    return connection


async def _tried(target: Target, server: McpServer, given: Mapping[str, Any]) -> Listing:
    """What the server lists to whoever comes with these credentials. Raises ToolError."""
    session = await mcp.sdk()
    try:
        found: Listing = await session.list_tools(mcp.filled(server, given, session), mcp.LIST_SECONDS)
    except session.McpFailure as failure:
        kind = "refused" if failure.kind == "unauthorized" else "unavailable"
        message = f"{target.title} did not accept this." if kind == "refused" else failure.message
        raise ToolError(message, kind, failure.http_status) from None
    return found


async def disconnect(connection: Connection) -> None:
    """Gone at once; then tokens of a sign-in are given back to the service."""
    await leftovers.give_back_soon(await in_thread(_take, connection))


async def config_of(caller: Caller, builtin: Builtin) -> tuple[dict[str, Any], str]:
    """What the caller's holder entered for a built-in tool, and what records of a call name it. Raises ToolError: not_connected."""
    holder = await holder_of(caller)
    connection = await in_thread(credentials.of_holder, caller.user_id, holder, builtin.service)
    name = f"qlaud-builtin/{builtin.slug}"
    if connection is None or connection.status != Connection.Status.CONNECTED:
        raise tokens.reconnect(name)
    kept = await tokens.revealed(connection, name)
    await in_thread(credentials.touch, connection)
    return kept.config, connection.label


def link(user_id: UUID, holder: str, target: Target, thread_id: UUID | None = None) -> tuple[str, Any]:
    """A one-time address for the holder, and when it ends. Raises ToolError when there is nothing that could be done there."""
    if target.schema is None and not target.signs_in:
        raise ToolError(f"{target.title} can only be connected once the operator has registered with it (MCP_OAUTH_CLIENTS).", "refused")
    server = None if target.builtin else server_of(user_id, target)
    return connect_links.mint(user_id, holder, server.service if server else target.service, server, thread_id)


def listing(user_id: UUID, holder: str = ACCOUNT) -> list[dict[str, Any]]:
    """What the holder has connected, and the account's servers that it could."""
    mine = {one.service: one for one in Connection.objects.filter(user_id=user_id, holder=holder).select_related("server")}
    waiting = McpServer.objects.for_user(user_id).filter(auth_mode=McpServer.AuthMode.PER_USER)
    rows = [_row(of_server(server), mine.pop(server.service, None)) for server in waiting]
    by_service = {one.service: one for one in registry.builtins()}
    rows += [_row(of_builtin(by_service[service]), one) for service, one in mine.items() if service in by_service]
    return rows


def server_of(user_id: UUID, target: Target) -> McpServer:
    """The row that a connection to the target refers to. Raises ToolError."""
    if target.server is not None:
        return target.server
    assert target.entry is not None
    try:
        return mcp_servers.of_catalogue(user_id, target.entry)
    except mcp_servers.NotRegistered as error:
        raise ToolError(error.message, "refused") from None


def _row(target: Target, connection: Connection | None) -> dict[str, Any]:
    broken = connection is not None and connection.status == Connection.Status.BROKEN
    status = "connected" if connection and not broken else "not_connected"
    return {
        "tool": target.name,
        "name": target.title,
        "status": status,
        **({"problem": connection.problem} if connection and broken else {}),
        **({"note": target.server.problem} if connection and not broken and target.server and target.server.problem else {}),
    }


def _status(user_id: UUID, holder: str, target: Target, tool: str) -> dict[str, Any]:
    row = _row(target, _mine(user_id, holder, target))
    connected = row["status"] == "connected"
    prompt = None if connected else f"Ask for a link with action connect and tool {target.name}, and give it to the person."
    return {**row, "tool": tool, "connected": connected, "credentials_prompt": prompt}


def _mine(user_id: UUID, holder: str, target: Target) -> Connection | None:
    return credentials.of_holder(user_id, holder, target.service) if target.service else None


def _take(connection: Connection) -> list[Leftover]:
    """Deletes the row; what is to be given back of it."""
    with transaction.atomic():
        found = Connection.objects.select_for_update(of=("self",)).select_related("server").filter(pk=connection.pk)
        left = leftovers.set_aside(found)
        found.delete()
    return left
