"""A scripted MCP server with a sign-in service, and callers whose turns use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpResponse
from pytest_django import Settings

from accounts import keys
from accounts.models import ApiKey, User
from chatai.lib.later import LaterResponse
from tests.tools.mcp.fake import Fake, serving
from tools import mcp_servers
from tools.connected import McpServer
from tools.values import Caller


@pytest.fixture
def fake(settings: Settings) -> Iterator[Fake]:
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    made = Fake()
    with serving(made.application()) as url:
        made.url = url
        yield made


@pytest.fixture
def register(owner: User) -> Callable[..., McpServer]:
    """`register(name, …)`: a server of the owner's."""

    def make(name: str = "desk", user: User | None = None, **given: Any) -> McpServer:
        return async_to_sync(mcp_servers.register)((user or owner).pk, name, **given)

    return make


@pytest.fixture
def caller(owner: User) -> Caller:
    """The owner in a chat of their own."""
    key = keys.personal_key(owner)
    assert key is not None
    return Caller(user_id=owner.pk, key_id=key.pk)


def of_key(user: User, scope: str = ApiKey.Scope.STANDARD, end_user_id: str | None = None) -> Caller:
    """A turn of an app."""
    key, _ = keys.mint(user, "app", scope)
    return Caller(user_id=user.pk, key_id=key.pk, end_user_id=end_user_id)


def settled(response: Any) -> HttpResponse:
    """A response that is decided on the loop, decided."""
    if isinstance(response, LaterResponse):
        return async_to_sync(response.resolve)()  # type: ignore[return-value]
    assert isinstance(response, HttpResponse)
    return response
