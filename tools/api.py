"""`/v1/tools` and `/v1/builtins` (contract, sections 10 to 12): what an app adds to the assistant, and the meta-tools over HTTP."""

from __future__ import annotations

from typing import Any, Literal

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from ninja import Router, Schema
from ninja.errors import HttpError
from ninja.responses import Status
from pydantic import Field

from accounts.access import admin_key, key_of
from accounts.models import ApiKey
from tools import actions, discovery, execution, registry
from tools.discovery import DEFAULT_RESULTS
from tools.meta import MOST_RESULTS
from tools.models import McpTool, RegisteredTool
from tools.rest import answer
from tools.shelf import PREFIX
from tools.values import Caller

router = Router(tags=["tools"])

Approval = Literal["allow", "ask", "deny"]


class NewTool(Schema):
    name: str = Field(min_length=1, max_length=200, description="As the model calls it: letters, digits, _ and -.")
    description: str | None = Field(default=None, min_length=1, max_length=10_000)
    input_schema: Any = Field(default=None, description="JSON Schema of an object.")
    webhook_url: str | None = Field(default=None, max_length=2000, description="https://…; signed requests go there.")
    timeout_ms: int = Field(default=30_000, ge=100, le=actions.MOST_TIMEOUT_MS, description="Of one try.")
    provider: str | None = Field(default=None, max_length=100, description="A built-in tool instead of a webhook.")
    auth_mode: Literal["tenant", "per_user"] = "tenant"
    config: dict[str, Any] | None = Field(default=None, description="Settings of the built-in; encrypted, never returned.")
    approval: Approval | None = Field(default=None, description="Your rule for this tool: run it, ask first, or never.")


class ToolOut(Schema):
    id: str
    object: Literal["tool"]
    name: str
    description: str
    input_schema: dict[str, Any]
    kind: str
    webhook_url: str | None = None
    timeout_ms: int | None = None
    provider: str | None = None
    auth_mode: str
    created_at: int


class Registered(ToolOut):
    secret: str | None = Field(default=None, description="Signs the requests to the webhook; shown once.")


class ToolList(Schema):
    object: Literal["list"]
    data: list[ToolOut]


class Deleted(Schema):
    ok: bool
    id: str
    object: Literal["tool"]
    deleted: bool


class BuiltinOut(Schema):
    provider: str
    display_name: str
    description: str
    provider_brand: str
    input_schema: dict[str, Any]
    config_schema: dict[str, Any]
    authMode: str  # noqa: N815 - the contract's name
    writes: bool
    ready: bool = Field(description="Runs without being connected or registered.")


class BuiltinList(Schema):
    object: Literal["list"]
    data: list[BuiltinOut]


class Search(Schema):
    intent: str = Field(min_length=1, max_length=1000)
    limit: int = Field(default=DEFAULT_RESULTS, ge=1, le=MOST_RESULTS)


class Schemas(Schema):
    tools: list[str] = Field(default=[], max_length=100)
    names: list[str] = Field(default=[], max_length=100, description="The same as tools.")


class Execute(Schema):
    calls: list[dict[str, Any]] = Field(description='{"tool": name, "args": {…}} each')


@router.post("/tools", auth=admin_key, response={201: Registered}, exclude_none=True, summary="Register a webhook or a built-in as a tool")
def register(request: HttpRequest, payload: NewTool) -> Status[dict[str, Any]]:
    """With `webhook_url` a webhook (its `secret` is shown once), with `provider` a built-in tool under a name of your own."""
    user, approval = key_of(request).user, payload.approval
    if (payload.provider is None) == (payload.webhook_url is None):
        raise HttpError(400, "webhook_url: send either this or provider.")
    try:
        if payload.provider is not None:
            chosen = payload.dict(include={"name", "provider", "auth_mode", "config", "description", "input_schema"})
            return Status(201, tool_row(actions.register_builtin(user, **chosen, approval=approval)))
        if payload.description is None:
            raise HttpError(400, "description: this field is required")
        row, secret = actions.register_webhook(
            user, **payload.dict(include={"name", "description", "input_schema", "webhook_url", "timeout_ms"}), approval=approval
        )
    except actions.Refusal as refusal:
        raise HttpError(refusal.status, refusal.message) from None
    return Status(201, {**tool_row(row), "secret": secret})


@router.get("/tools", auth=admin_key, response=ToolList, exclude_none=True, summary="Every tool of the account")
def list_tools(request: HttpRequest) -> dict[str, Any]:
    """Those that MCP servers of the account brought as well; they come and go with their server."""
    user_id = key_of(request).user_id
    own = [tool_row(row) for row in RegisteredTool.objects.for_user(user_id)]
    brought = McpTool.objects.filter(server__user_id=user_id, server__revoked_at=None, connection=None).select_related("server")
    return {"object": "list", "data": own + [mcp_row(row) for row in brought]}


@router.get("/builtins", auth=None, response=BuiltinList, summary="The built-in tools; no key needed")
def list_builtins(request: HttpRequest) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [
            {
                "provider": f"{PREFIX}{one.slug}",
                "display_name": one.display_name,
                "description": one.description,
                "provider_brand": one.brand,
                "input_schema": one.input_schema,
                "config_schema": one.config_schema,
                "authMode": one.auth_mode,
                "writes": one.writes,
                "ready": one.open,
            }
            for one in registry.builtins()
        ],
    }


@router.post("/tools/search", response={200: None}, summary="Find tools, as qlaud_search_tools does")
def search(request: HttpRequest, payload: Search) -> HttpResponseBase:
    caller = _caller(request)
    return answer(lambda: discovery.search(caller, payload.intent, payload.limit))


@router.post("/tools/schemas", response={200: None}, summary="What tools take, as qlaud_get_tool_schemas does")
def schemas(request: HttpRequest, payload: Schemas) -> HttpResponseBase:
    caller = _caller(request)
    return answer(lambda: discovery.schemas(caller, payload.tools or payload.names))


@router.post("/tools/execute", response={200: None}, summary="Run tools, as qlaud_multi_execute does")
def execute(request: HttpRequest, payload: Execute) -> HttpResponseBase:
    """The call is yours and not a model's: it runs without asking anybody, unless a rule says `ask` or `deny`."""
    caller = _caller(request)
    return answer(lambda: execution.run_all(caller, payload.calls))


def mcp_row(row: McpTool) -> dict[str, Any]:
    """As `tool_row`."""
    return {
        "id": row.wire_id,
        "object": "tool",
        "name": row.full_name,
        "description": row.description,
        "input_schema": row.input_schema,
        "kind": "mcp",
        "auth_mode": row.server.auth_mode,
        "created_at": int(row.server.created_at.timestamp() * 1000),
    }


def _caller(request: HttpRequest) -> Caller:
    key: ApiKey = key_of(request)
    return Caller(user_id=key.user_id, key_id=key.pk, request_id=request.headers.get("x-request-id", ""))


def tool_row(row: RegisteredTool) -> dict[str, Any]:
    """A tool as lists show it, without anything secret."""
    webhook = row.kind == RegisteredTool.Kind.WEBHOOK
    return {
        "id": row.wire_id,
        "object": "tool",
        "name": row.name,
        "description": row.description,
        "input_schema": row.input_schema,
        "kind": row.kind,
        "webhook_url": row.webhook_url if webhook else None,
        "timeout_ms": row.timeout_ms if webhook else None,
        "provider": None if webhook else f"{PREFIX}{row.provider}",
        "auth_mode": row.auth_mode,
        "created_at": int(row.created_at.timestamp() * 1000),
    }


# Behind the routes that have a word in this place: the first that fits is taken.
@router.delete("/tools/{tool_id}", auth=admin_key, response=Deleted, summary="Revoke a tool, for running turns too")
def revoke(request: HttpRequest, tool_id: str) -> dict[str, Any]:
    if not actions.revoke(key_of(request).user_id, tool_id):
        raise Http404
    return {"ok": True, "id": tool_id, "object": "tool", "deleted": True}
