"""The catalogue's file, local servers of the operator, and rotation of keys."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from asgiref.sync import async_to_sync
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from pytest_django import Settings

from accounts.models import User
from tools import credentials, keeping, mcp, mcp_catalog
from tools.arguments import check_schema
from tools.connected import Connection, McpServer
from tools.holders import ACCOUNT
from tools.values import Caller

# Work is done on a loop, and its connection to the database is not the one of a test that takes everything back.
pytestmark = pytest.mark.django_db(transaction=True)

PROGRAM = """
from mcp.server.mcpserver import MCPServer

server = MCPServer("local")

@server.tool()
def double(number: int) -> int:
    "Twice the number."
    return 2 * number

server.run("stdio")
"""


def test_every_vendor_can_be_connected_in_some_way_and_is_behind_https() -> None:
    entries = mcp_catalog.entries()
    assert len(entries) >= 40
    for slug, entry in entries.items():
        assert slug == entry.slug
        assert mcp_catalog.entry(f"qlaud-mcp/{slug}") is entry
        assert urlsplit(entry.url).scheme == urlsplit(entry.docs).scheme == "https"
        assert entry.oauth in ("", "dynamic", "registered")
        assert entry.oauth or entry.headers or entry.open or "{" in entry.url
        assert len(slug) <= 31
        check_schema(dict(entry.config_schema))
        config = {field.name: "value" for field in entry.fields}
        assert "{" not in entry.address(config) + "".join(entry.filled(config).values())


def test_vendors_that_want_their_own_form_of_a_header_get_it() -> None:
    entries = mcp_catalog.entries()
    pair = base64.b64encode(b"a@example.com:t").decode()
    assert entries["atlassian"].filled({"email": "a@example.com", "token": "t"}) == {"Authorization": f"Basic {pair}"}
    assert entries["pagerduty"].filled({"token": "t"}) == {"Authorization": "Token token=t"}
    assert entries["sentry"].filled({"token": "t"}) == {"Authorization": "Sentry-Bearer t"}
    assert entries["exa"].filled({"token": "t"}) == {"x-api-key": "t"}
    assert entries["shopify"].address({"shop": "my-shop"}) == "https://my-shop.myshopify.com/api/mcp"


def test_a_vendor_that_wants_to_know_the_app_needs_one_of_the_operators(settings: Settings) -> None:
    slack = mcp_catalog.entries()["slack"]
    assert not slack.signs_in
    settings.MCP_OAUTH_CLIENTS = {"slack": ("id", "secret")}
    assert slack.signs_in


@pytest.mark.slow
def test_a_program_of_the_operator_has_tools_for_everybody(settings: Settings, tmp_path: Path, owner: User, caller: Caller) -> None:
    (tmp_path / "server.py").write_text(PROGRAM)
    listed = tmp_path / "servers.toml"
    listed.write_text(f'[local]\ncommand = "{sys.executable}"\nargs = ["{tmp_path / "server.py"}"]\n')
    settings.MCP_LOCAL_SERVERS = str(listed)
    keeping.follow_settings()
    async_to_sync(keeping.refresh_lists)()
    (tool,) = mcp.tools_for(owner.pk, ACCOUNT)
    assert tool.name == "local/double"
    outcome = async_to_sync(mcp.call)(tool, {"number": 21}, caller)
    assert (outcome.output, outcome.credential) == ("42", "operator")
    settings.MCP_LOCAL_SERVERS = ""
    keeping.follow_settings()
    assert mcp.tools_for(owner.pk, ACCOUNT) == []


def test_a_rotation_seals_everything_anew_and_then_the_old_key_can_go(settings: Settings, owner: User) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["old"]
    connection = credentials.keep(owner.pk, ACCOUNT, "builtin/desk", None, {"token": "secret"})
    settings.FIELD_ENCRYPTION_KEYS = ["new", "old"]
    call_command("rotate_secrets")
    settings.FIELD_ENCRYPTION_KEYS = ["new"]
    assert credentials.reveal(Connection.objects.get(pk=connection.pk)).config == {"token": "secret"}
    settings.FIELD_ENCRYPTION_KEYS = ["newest"]
    with pytest.raises(CommandError, match="1 secrets"):
        call_command("rotate_secrets")


def test_a_local_server_cannot_be_somebodys(owner: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        McpServer.objects.create(user=owner, name="mine", transport="stdio")
