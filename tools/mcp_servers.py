"""Registering, refreshing and revoking the MCP servers of an account: what every door calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction
from django.utils import timezone

from chatai.lib.ids import uuid7
from tools import mcp, mcp_catalog, mcp_lists
from tools.arguments import misfit
from tools.connected import McpServer, McpTool, put_secret
from tools.database import in_thread
from tools.mcp_catalog import Entry
from tools.oauth_sites import is_safe
from tools.values import ToolError

if TYPE_CHECKING:
    from tools.mcp_session import Listing

MOST = 100  # of one account
MOST_URL = 2000
MOST_HEADERS = 20
NAME = re.compile(r"[a-z0-9_-]{1,31}")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,7998}[\x21-\x7e])?")
OURS = frozenset(
    {"host", "connection", "content-length", "content-type", "transfer-encoding", "accept", "accept-encoding", "te", "upgrade"}
)


class NotRegistered(Exception):  # noqa: N818 - an answer, not a fault
    """400, 409 or 502, with a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def register(
    user_id: UUID,
    name: str,
    *,
    server_url: str = "",
    auth_headers: Mapping[str, str] | None = None,
    catalog_slug: str = "",
    auth_mode: str = McpServer.AuthMode.TENANT,
    config: Mapping[str, Any] | None = None,
) -> McpServer:
    """A server with its tools; of a per-user one without any until somebody connects. Nothing is stored unless it answers.

    Raises NotRegistered.
    """
    if not NAME.fullmatch(name) or name.startswith("qlaud"):
        raise NotRegistered(400, "name: 1 to 31 lower-case letters, digits, - and _, and not beginning with qlaud.")
    server = McpServer(id=uuid7(), user_id=user_id, name=name, auth_mode=auth_mode, catalog_slug=catalog_slug)
    kept = _of_catalogue(server, config) if catalog_slug else _of_address(server, server_url, auth_headers)
    await in_thread(_check_room, user_id, name)
    if kept:
        put_secret(server, "sealed", msgspec.json.encode(kept).decode())
    if auth_mode == McpServer.AuthMode.PER_USER:
        await in_thread(_store, server, None)
        return server
    session = await mcp.sdk()
    try:
        endpoint, _ = await mcp.endpoint_of(server, None)
        found = await session.list_tools(endpoint, mcp.LIST_SECONDS)
    except session.McpFailure as failure:
        hint = " It may want a sign-in: register it with auth_mode per_user." if failure.kind == "unauthorized" else ""
        raise NotRegistered(400 if failure.kind == "forbidden" else 502, failure.message + hint) from None
    await in_thread(_store, server, found)
    return server


async def refresh(server: McpServer) -> McpServer:
    """Its list anew. Of a per-user server each connection has its own, which the worker renews. Raises NotRegistered."""
    if server.auth_mode == McpServer.AuthMode.TENANT:
        try:
            await mcp_lists.refresh(server, None)
        except ToolError as error:
            raise NotRegistered(502, error.message) from None
    return server


def revoke(server: McpServer) -> None:
    """At once, and the name is free again. The worker then gives back what people signed in with (see tools/connections.py)."""
    with transaction.atomic():
        McpServer.objects.filter(pk=server.pk, revoked_at=None).update(revoked_at=timezone.now(), sealed="")
        McpTool.objects.filter(server=server).delete()


def of_catalogue(user_id: UUID, entry: Entry) -> McpServer:
    """The account's per-user server of this vendor, made when it is first asked for."""
    mine = McpServer.objects.for_user(user_id)
    found = mine.filter(catalog_slug=entry.slug, auth_mode=McpServer.AuthMode.PER_USER).first()
    if found is not None:
        return found
    taken = set(mine.values_list("name", flat=True))
    name = next(name for name in (entry.slug, *(f"{entry.slug[:28]}-{number}" for number in range(2, MOST + 2))) if name not in taken)
    _check_room(user_id, name)
    server = McpServer(user_id=user_id, name=name, catalog_slug=entry.slug, auth_mode=McpServer.AuthMode.PER_USER)
    server.server_url = entry.url if "{" not in entry.url else ""
    _store(server, None)
    return server


def _of_catalogue(server: McpServer, config: Mapping[str, Any] | None) -> dict[str, Any]:
    entry = mcp_catalog.entry(server.catalog_slug)
    if entry is None:
        raise NotRegistered(400, f"catalog_slug: there is no {server.catalog_slug[:40]!r}. GET /v1/mcp-catalog lists what there is.")
    server.catalog_slug = entry.slug
    if server.auth_mode == McpServer.AuthMode.PER_USER:
        if config:
            raise NotRegistered(400, "config: everybody connects for themselves; leave it out with auth_mode per_user.")
        server.server_url = entry.url if "{" not in entry.url else ""
        return {}
    if entry.oauth and not entry.fields:
        raise NotRegistered(400, f"{entry.name} has only a sign-in: register it with auth_mode per_user.")
    if wrong := misfit(entry.config_schema, dict(config or {})):
        raise NotRegistered(400, f"config: {wrong}")
    server.server_url = entry.address(config or {})
    return dict(config or {})


def _of_address(server: McpServer, url: str, headers: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        raise NotRegistered(400, "server_url: this is not an address.") from None
    if len(url) > MOST_URL or not port_ok or not url.isprintable() or parts.username is not None or not is_safe(url):
        raise NotRegistered(400, "server_url: an https address of at most 2,000 characters, without a name or password in it.")
    server.server_url = parts._replace(fragment="").geturl()
    if server.auth_mode == McpServer.AuthMode.PER_USER:
        if headers:
            raise NotRegistered(400, "auth_headers: everybody signs in for themselves; leave them out with auth_mode per_user.")
        return {}
    for name, value in (headers or {}).items():
        if not HEADER.fullmatch(name) or name.lower() in OURS or name.lower().startswith("mcp-") or not VALUE.fullmatch(value):
            raise NotRegistered(400, f"auth_headers: {name[:60]!r} cannot be sent.")
    if len(headers or {}) > MOST_HEADERS:
        raise NotRegistered(400, f"auth_headers: at most {MOST_HEADERS}.")
    return {"headers": dict(headers)} if headers else {}


def _check_room(user_id: UUID, name: str) -> None:
    mine = McpServer.objects.for_user(user_id)
    if mine.filter(name=name).exists():
        raise NotRegistered(409, f"There is a server called {name} already.")
    if mine.count() >= MOST:
        raise NotRegistered(400, f"An account has at most {MOST} servers. Delete one first.")


def _store(server: McpServer, found: Listing | None) -> None:
    try:
        with transaction.atomic():
            server.save(force_insert=True)
            if found is not None:
                mcp_lists.keep(server, None, found)
    except IntegrityError:
        raise NotRegistered(409, f"There is a server called {server.name} already.") from None
