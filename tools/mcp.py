"""Tools of MCP servers: kept lists of them, and how one is called. Imports nothing of the SDK before there is a server to talk to."""

from __future__ import annotations

import asyncio
import importlib
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db.models import Q, QuerySet

from tools import credentials, holders, mcp_answers, mcp_catalog, tokens
from tools.connected import Connection, McpServer, McpTool, secret
from tools.database import in_thread
from tools.schemas import secret_names
from tools.values import Caller, Found, Outcome, Tool, ToolError

if TYPE_CHECKING:
    from tools.mcp_session import Endpoint, McpFailure

CALL_SECONDS = 60.0
LIST_SECONDS = 20.0


def tools_for(user_id: UUID, holder: str) -> list[Tool]:
    """Every MCP tool that this holder may use: shared ones, the operator's, and those of its own connections."""
    rows = _rows(user_id).filter(Q(connection=None) | Q(connection__holder=holder, connection__status=Connection.Status.CONNECTED))
    return [as_tool(row) for row in rows]


def tenant_tools(user_id: UUID) -> list[Tool]:
    """Those that all callers of the account share."""
    return [as_tool(row) for row in _rows(user_id).filter(connection=None)]


def findable(user_id: UUID, holder: str) -> list[Found]:
    """Connectors of the catalogue, and per-user servers of the account, that this holder has not connected."""
    servers = list(McpServer.objects.usable_by(user_id).prefetch_related("connections"))
    registered = {server.catalog_slug for server in servers if server.catalog_slug}
    fresh = [
        Found(one.wire_name, one.about, "mcp", connected=False) for one in mcp_catalog.entries().values() if one.slug not in registered
    ]
    waiting = [
        Found(one.wire_name, _about(one), "mcp", connected=False)
        for one in servers
        if one.auth_mode == McpServer.AuthMode.PER_USER and not _connected(one, holder)
    ]
    return [*waiting, *fresh]


def as_tool(row: McpTool) -> Tool:
    unconfirmed = row.version != row.confirmed_version
    return Tool(
        name=row.full_name,
        description=row.description,
        input_schema=row.input_schema,
        kind="mcp",
        writes=unconfirmed or not row.read_only,
        repeatable=row.read_only or row.idempotent,
        seconds=CALL_SECONDS,
        version=row.version,
        source=str(row.pk),
        unconfirmed=unconfirmed,
        provider=row.server.wire_name,
    )


async def confirm(tool: Tool) -> None:
    """A person has seen what the tool is now, and agreed."""
    await in_thread(McpTool.objects.filter(pk=UUID(tool.source), version=tool.version).update, confirmed_version=tool.version)


async def call(tool: Tool, arguments: dict[str, Any], caller: Caller) -> Outcome:
    """One call in a session of its own, within CALL_SECONDS; what is spent on forms for the person does not count. Raises ToolError."""
    row = await in_thread(_usable, tool, caller)
    session = await sdk()
    for attempt in (1, 2):
        endpoint, label = await endpoint_of(row.server, row.connection, anew=attempt == 2)
        try:
            called = await session.call_tool(endpoint, row.name, row.input_schema, arguments, CALL_SECONDS, caller.ask)
        except session.McpFailure as failure:
            if attempt == 1 and failure.http_status == 401 and row.connection and row.connection.kind == Connection.Kind.OAUTH:
                continue  # it was refused before anything was done, so it can be said again with a new token
            await _noted(row.connection, failure)
            return mcp_answers.failed(failure, row.server.wire_name, endpoint.hidden, attempt, label)
        if row.connection:
            await in_thread(credentials.touch, row.connection)
        return mcp_answers.outcome(called, endpoint.hidden, attempt, label)
    raise AssertionError("unreachable")


async def endpoint_of(server: McpServer, connection: Connection | None, *, anew: bool = False) -> tuple[Endpoint, str]:
    """Where the server is, with the headers of its tenant or of the connection, and what records call those. Raises ToolError."""
    session = await sdk()
    if server.transport == McpServer.Transport.STDIO:
        program = local_servers().get(server.name)
        if program is None:
            raise ToolError(f"{server.name} is not configured on this machine any more.", "unavailable")
        where = session.Program(program["command"], tuple(program.get("args", ())), program.get("env", {}))
        return session.Endpoint(server.name, where, {}, server.protocol), "operator"
    if connection is not None:
        kept = await tokens.revealed(connection, server.wire_name, anew=anew)
        if kept.tokens is not None:
            bearer = {"Authorization": f"Bearer {kept.tokens.access_token}"}
            return session.Endpoint(server.name, server.server_url, bearer, server.protocol), connection.label
        return filled(server, kept.config, session), connection.label
    config = msgspec.json.decode(await in_thread(secret, server) or "{}")
    if "headers" in config:
        return session.Endpoint(server.name, server.server_url, config["headers"], server.protocol), "tenant"
    return filled(server, config, session), "tenant" if config else ""


def filled(server: McpServer, config: Mapping[str, Any], session: Any) -> Endpoint:
    """A server of the catalogue with what somebody entered for it."""
    entry = mcp_catalog.entry(server.catalog_slug) if server.catalog_slug else None
    url, headers = (entry.address(config), entry.filled(config)) if entry else (server.server_url, {})
    secrets = [str(config[name]) for name in secret_names(entry.config_schema) if config.get(name)] if entry else []
    endpoint: Endpoint = session.Endpoint(server.name, url, headers, server.protocol, tuple(secrets))
    return endpoint


async def sdk() -> Any:
    """tools.mcp_session, imported where the loop does not wait for it."""
    return await asyncio.to_thread(importlib.import_module, "tools.mcp_session")


def local_servers() -> Mapping[str, Mapping[str, Any]]:
    """The operator's servers by name, as MCP_LOCAL_SERVERS has them. Raises OSError or ValueError (a system check says so first)."""
    return _local_servers(settings.MCP_LOCAL_SERVERS) if settings.MCP_LOCAL_SERVERS else {}


@cache
def _local_servers(path: str) -> Mapping[str, Mapping[str, Any]]:
    servers = tomllib.loads(Path(path).read_text())
    for name, row in servers.items():
        if not isinstance(row, dict) or not isinstance(row.get("command"), str):
            raise ValueError(f"{name} has no command")
    return servers


def _rows(user_id: UUID) -> QuerySet[McpTool]:
    return McpTool.objects.filter(server__in=McpServer.objects.usable_by(user_id)).select_related("server", "connection")


def _usable(tool: Tool, caller: Caller) -> McpTool:
    """The row, read again so that what was disconnected while the turn ran is not used."""
    holder = holders.holder(caller.key_id, caller.end_user_id)
    row = _rows(caller.user_id).filter(pk=UUID(tool.source)).first()
    if row is None:
        raise ToolError(f"{tool.name} has been removed.", "unknown")
    if row.connection and row.connection.holder != holder:
        raise ToolError(f"{tool.name} is not connected here.", "not_connected")
    if row.connection and row.connection.status != Connection.Status.CONNECTED:
        raise tokens.reconnect(row.server.wire_name)
    if row.version != tool.version:
        raise ToolError(f"{tool.name} has changed since it was asked for. Look at its schema again.", "refused")
    return row


async def _noted(connection: Connection | None, failure: McpFailure) -> None:
    if connection is not None and failure.http_status == 401:
        await in_thread(credentials.spoil, connection, failure.message)


def _connected(server: McpServer, holder: str) -> bool:
    return any(one.holder == holder and one.status == Connection.Status.CONNECTED for one in server.connections.all())


def _about(server: McpServer) -> str:
    entry = mcp_catalog.entry(server.catalog_slug) if server.catalog_slug else None
    return entry.about if entry else f"The MCP server {server.name}."
