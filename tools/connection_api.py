"""`/v1/connections`: what qlaud_manage_connections does, for the holder of a key."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Router, Schema
from pydantic import Field

from accounts.access import key_of
from tools import connections
from tools.rest import answer
from tools.values import Caller

router = Router(tags=["connections"])


class Wanted(Schema):
    action: Literal["status", "connect", "list", "disconnect"]
    tool: str = Field(default="", max_length=200, description="`qlaud-mcp/linear`, `linear` or a built-in's slug; not for `list`.")
    end_user_id: str | None = Field(default=None, max_length=255, description="Whose connection; without one it is the key's or account's.")
    credentials: dict[str, Any] | None = Field(default=None, description="With `connect`: what the config_schema asks for, kept at once.")


class Managed(Schema):
    tool: str = ""
    status: str = ""
    connected: bool = False
    connect_url: str = ""
    expires_at: int = 0
    tools: list[dict[str, Any]] = []


@router.post("/connections", response={200: Managed}, summary="See, make and end connections to services")
def manage(request: HttpRequest, payload: Wanted) -> HttpResponseBase:
    """`connect` without credentials answers with a link that works once, for ten minutes. Secrets are never returned."""
    key = key_of(request)
    caller = Caller(user_id=key.user_id, key_id=key.pk, end_user_id=payload.end_user_id)

    return answer(lambda: connections.manage(caller, payload.action, payload.tool, payload.credentials))
