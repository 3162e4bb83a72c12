"""`/v1/mcp-servers` and `/v1/mcp-catalog` (contract 14). Servers are the account's, so they take a key of scope admin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from ninja.errors import HttpError
from pydantic import Field

from accounts.access import admin_key, key_of
from chatai.lib.later import LaterResponse
from chatai.lib.wire import error_body
from tools import mcp_catalog, mcp_servers
from tools.connected import McpServer
from tools.database import in_thread
from tools.mcp_servers import NotRegistered

router = Router(tags=["tools"])

MOST_LISTED = 100


class Register(Schema):
    name: str = Field(description="What its tools begin with: `linear` makes `linear/create_issue`.")
    server_url: str | None = Field(default=None, description="A streamable HTTP endpoint; or `catalog_slug`.")
    auth_headers: dict[str, str] | None = Field(default=None, description="Sent with every request; kept encrypted, never returned.")
    catalog_slug: str | None = None
    auth_mode: Literal["tenant", "per_user"] = "tenant"
    config: dict[str, Any] | None = Field(default=None, description="What the catalogue's config_schema asks for.")


class ServerOut(Schema):
    id: str
    object: str
    name: str
    server_url: str
    catalog_slug: str | None
    auth_mode: str
    tools_cached: int
    tools_cache_at: int | None
    has_auth_headers: bool
    problem: str | None
    created_at: int


class ServerList(Schema):
    object: str
    data: list[ServerOut]


class Revoked(Schema):
    ok: bool


class EntryOut(Schema):
    id: str
    slug: str
    name: str
    category: str
    description: str
    server_url: str
    docs_url: str
    auth: list[str]
    available: bool
    headers: dict[str, str]
    config_schema: dict[str, Any]


class Catalogue(Schema):
    object: str
    data: list[EntryOut]


@router.post("/mcp-servers", auth=admin_key, response={201: ServerOut}, summary="Register an MCP server; its tools are listed at once")
def register(request: HttpRequest, payload: Register) -> HttpResponseBase:
    if bool(payload.server_url) == bool(payload.catalog_slug):
        raise HttpError(400, "Send server_url or catalog_slug, and not both.")
    if payload.auth_headers and payload.catalog_slug:
        raise HttpError(400, "auth_headers: a server of the catalogue makes its headers from config.")
    if payload.config and payload.server_url:
        raise HttpError(400, "config: only with catalog_slug.")
    user_id = key_of(request).user_id

    async def decide() -> McpServer:
        return await mcp_servers.register(
            user_id,
            payload.name,
            server_url=payload.server_url or "",
            auth_headers=payload.auth_headers,
            catalog_slug=payload.catalog_slug or "",
            auth_mode=payload.auth_mode,
            config=payload.config,
        )

    return _later(decide, 201)


@router.get("/mcp-servers", auth=admin_key, response=ServerList, summary="The account's MCP servers, newest first")
def list_servers(request: HttpRequest) -> dict[str, Any]:
    servers = McpServer.objects.for_user(key_of(request).user_id).order_by("-created_at")[:MOST_LISTED]
    return {"object": "list", "data": [row(server) for server in servers]}


@router.post("/mcp-servers/{uuid:server_id}/refresh", auth=admin_key, response={200: ServerOut}, summary="List its tools anew")
def refresh(request: HttpRequest, server_id: UUID) -> HttpResponseBase:
    """A tool whose description or schema changed is asked about again before it runs."""
    server = _own(request, server_id)
    return _later(lambda: mcp_servers.refresh(server), 200)


@router.delete("/mcp-servers/{uuid:server_id}", auth=admin_key, response=Revoked, summary="Remove a server with all connections to it")
def revoke(request: HttpRequest, server_id: UUID) -> dict[str, bool]:
    mcp_servers.revoke(_own(request, server_id))
    return {"ok": True}


@router.get("/mcp-catalog", auth=None, response=Catalogue, summary="Vendors' MCP servers that can be connected by name")
def catalogue(request: HttpRequest) -> dict[str, Any]:
    return {"object": "list", "data": [entry_row(entry) for entry in mcp_catalog.entries().values()]}


def row(server: McpServer) -> dict[str, Any]:
    """A server as the API shows it: without its headers."""
    return {
        "id": str(server.pk),
        "object": "mcp_server",
        "name": server.name,
        "server_url": server.server_url,
        "catalog_slug": server.catalog_slug or None,
        "auth_mode": server.auth_mode,
        "tools_cached": server.tools.filter(connection=None).count(),
        "tools_cache_at": int(server.tools_cache_at.timestamp() * 1000) if server.tools_cache_at else None,
        "has_auth_headers": bool(server.sealed),
        "problem": server.problem or None,
        "created_at": int(server.created_at.timestamp() * 1000),
    }


def entry_row(entry: mcp_catalog.Entry) -> dict[str, Any]:
    """An entry of the catalogue as the API shows it. `available`: whether it can be connected on this installation."""
    ways = [*(["oauth"] if entry.oauth else []), *(["config"] if entry.fields else []), *(["none"] if entry.open else [])]
    return {
        "id": entry.wire_name,
        "slug": entry.slug,
        "name": entry.name,
        "category": entry.group,
        "description": entry.about,
        "server_url": entry.url,
        "docs_url": entry.docs,
        "auth": ways,
        "available": bool(entry.signs_in or entry.fields or entry.open),
        "headers": dict(entry.headers),
        "config_schema": dict(entry.config_schema),
    }


def _later(work: Callable[[], Awaitable[McpServer]], status: int) -> LaterResponse:
    """Talks to the server without keeping a thread."""

    async def decide() -> HttpResponseBase:
        try:
            body, code = await in_thread(row, await work()), status
        except NotRegistered as error:
            body, code = error_body(error.status, error.message), error.status
        return HttpResponse(msgspec.json.encode(body), status=code, content_type="application/json")

    return LaterResponse(decide)


def _own(request: HttpRequest, server_id: UUID) -> McpServer:
    return get_object_or_404(McpServer.objects.for_user(key_of(request).user_id), pk=server_id)
