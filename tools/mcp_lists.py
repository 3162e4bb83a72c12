"""The tools of a server as it last described them. What changes is asked about again before it runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.utils import timezone

from tools import mcp
from tools.arguments import BadSchema, check_schema
from tools.connected import Connection, McpServer, McpTool
from tools.database import in_thread
from tools.values import ToolError

if TYPE_CHECKING:
    from tools.mcp_session import Endpoint, Listed, Listing

NAME = re.compile(r"[A-Za-z0-9_./-]{1,128}")
MOST_NAMED = 5
MOST_DESCRIPTION = 4000  # characters; the model reads them
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


async def refresh(server: McpServer, connection: Connection | None) -> int:
    """Ask the server what it offers and keep that; how many tools. Raises ToolError, and says on the row why."""
    session = await mcp.sdk()
    try:
        endpoint, _ = await mcp.endpoint_of(server, connection)
        return await listed(server, connection, endpoint)
    except session.McpFailure as failure:
        await in_thread(_failed, server.pk, failure.message)
        raise ToolError(
            failure.message, "not_connected" if failure.kind == "unauthorized" else "unavailable", failure.http_status
        ) from None


async def listed(server: McpServer, connection: Connection | None, endpoint: Endpoint) -> int:
    """As `refresh`, from an endpoint that is not stored yet. Raises McpFailure."""
    session = await mcp.sdk()
    return await in_thread(keep, server, connection, await session.list_tools(endpoint, mcp.LIST_SECONDS))


def keep(server: McpServer, connection: Connection | None, found: Listing) -> int:
    """The list in the place of the one before; how many tools. A tool that is new, or not what it was, waits for somebody's consent;
    those of the first list were consented to by connecting."""
    usable, refused = _usable(found.tools)
    with transaction.atomic():
        McpServer.objects.select_for_update(no_key=True).get(pk=server.pk)
        known = {row.name: row for row in McpTool.objects.filter(server=server, connection=connection)}
        seen_before = (connection or server).tools_cache_at is not None
        for one in usable:
            _keep_one(server, connection, one, known.get(one.name), seen_before)
        McpTool.objects.filter(pk__in=[row.pk for name, row in known.items() if name not in {one.name for one in usable}]).delete()
        now = timezone.now()
        if connection is not None:
            connection.tools_cache_at = now
            Connection.objects.filter(pk=connection.pk).update(tools_cache_at=now)
        server.tools_cache_at, server.protocol, server.problem = now, found.protocol, left_out([*found.unusable, *refused])[:500]
        server.save(update_fields=["tools_cache_at", "protocol", "problem"])
    return len(usable)


def _keep_one(server: McpServer, connection: Connection | None, one: Listed, row: McpTool | None, seen_before: bool) -> None:
    version = version_of(one)
    if row is not None and row.version == version:
        return
    row = row or McpTool(server=server, connection=connection, name=one.name, confirmed_version="" if seen_before else version)
    row.description, row.input_schema, row.version = one.description, one.input_schema, version
    row.read_only, row.idempotent = one.read_only, one.idempotent
    row.save()


def version_of(one: Listed) -> str:
    """SHA-256 of all that a person agrees to."""
    said: list[Any] = [one.name, one.description, one.input_schema, one.read_only, one.idempotent]
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


def left_out(names: Sequence[str]) -> str:
    """A sentence on tools that are not offered; empty when there are none."""
    if not names:
        return ""
    shown = ", ".join(ascii(name[:60])[1:-1] for name in names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
    return f"{len(names)} of its tools {'is' if len(names) == 1 else 'are'} left out, for a name or schema that cannot be used: {shown}."


def _usable(found: Sequence[Listed]) -> tuple[list[Listed], list[str]]:
    """Those that can be offered, once each, and the names of the others."""
    usable: dict[str, Listed] = {}
    refused: list[str] = []
    for one in found:
        try:
            check_schema(one.input_schema)
            storable = b"\\u0000" not in msgspec.json.encode(one.input_schema)
        except (BadSchema, UnicodeEncodeError):
            storable = False
        if storable and NAME.fullmatch(one.name) and one.name not in usable:
            usable[one.name] = _cut(one)
        else:
            refused.append(one.name)
    return list(usable.values()), refused


def _cut(one: Listed) -> Listed:
    description = UNSTORABLE.sub("", one.description)[:MOST_DESCRIPTION]
    return type(one)(one.name, description, one.input_schema, one.read_only, one.idempotent)


def _failed(server_id: UUID, problem: str) -> None:
    McpServer.objects.filter(pk=server_id).update(problem=problem[:500])
