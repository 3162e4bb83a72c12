"""Registering servers, their lists, and calling what is on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from pytest_django import Settings

from accounts.models import User
from tests.tools.mcp.conftest import of_key
from tests.tools.mcp.fake import READ, WRITE, Fake
from tools import mcp, mcp_lists, mcp_servers, mcp_session
from tools.connected import McpServer, McpTool
from tools.holders import ACCOUNT
from tools.mcp_servers import NotRegistered
from tools.values import Answer, Caller, Outcome, Question, Tool, ToolError

# Work is done on a loop, and its connection to the database is not the one of a test that takes everything back.
pytestmark = pytest.mark.django_db(transaction=True)

Register = Callable[..., McpServer]
SECRET = "Bearer sk-canary-1234567890"


def named(user: User, name: str) -> Tool:
    return next(tool for tool in mcp.tools_for(user.pk, ACCOUNT) if tool.name == name)


def call(tool: Tool, arguments: dict[str, Any], caller: Caller) -> Outcome:
    return async_to_sync(mcp.call)(tool, arguments, caller)


@pytest.fixture
def desk(fake: Fake, register: Register) -> McpServer:
    fake.headers = {"authorization": SECRET}
    return register("desk", server_url=fake.mcp, auth_headers={"Authorization": SECRET})


def test_registering_lists_every_page_of_tools_under_the_servers_name(desk: McpServer, owner: User, fake: Fake) -> None:
    tools = {tool.name: tool for tool in mcp.tools_for(owner.pk, ACCOUNT)}
    assert set(tools) == {"desk/search", "desk/create_issue", "desk/book"}
    assert not tools["desk/search"].writes
    assert tools["desk/search"].repeatable
    assert tools["desk/create_issue"].writes
    assert not tools["desk/create_issue"].repeatable
    assert tools["desk/search"].input_schema == READ["inputSchema"]
    assert [tool.name for tool in mcp.tenant_tools(owner.pk)] == [tool.name for tool in mcp.tools_for(owner.pk, ACCOUNT)]
    assert SECRET not in str(McpServer.objects.filter(pk=desk.pk).values().get())


def test_a_call_goes_out_with_the_headers_under_the_unprefixed_name_and_brings_text_and_pictures(
    desk: McpServer, owner: User, caller: Caller, fake: Fake
) -> None:
    outcome = call(named(owner, "desk/create_issue"), {"title": "Zürich"}, caller)
    assert fake.calls == [("create_issue", {"title": "Zürich"})]
    assert outcome.output.startswith('done {"title": "Z\\u00fcrich"}')
    assert outcome.blocks[0]["source"]["media_type"] == "image/png"
    assert (outcome.is_error, outcome.credential, outcome.attempts, outcome.http_status) == (False, "tenant", 1, 200)


def test_every_call_has_a_session_of_its_own_and_asks_for_the_protocol_only_once(
    desk: McpServer, owner: User, caller: Caller, fake: Fake
) -> None:
    fake.seen.clear()
    for _ in range(2):
        call(named(owner, "desk/search"), {"q": "x"}, caller)
    assert [method for method, _, _ in fake.seen] == ["initialize", "notifications/initialized", "tools/call"] * 2


def test_what_the_server_repeats_of_our_secrets_is_hidden(desk: McpServer, owner: User, caller: Caller, fake: Fake) -> None:
    assert "canary" not in str(call(named(owner, "desk/search"), {}, caller))
    fake.trouble = "error"
    outcome = call(named(owner, "desk/search"), {}, caller)
    assert outcome.is_error
    assert "It broke." in outcome.output
    assert "canary" not in outcome.output


def test_an_error_of_the_tool_is_an_error_for_the_model(desk: McpServer, owner: User, caller: Caller) -> None:
    outcome = call(named(owner, "desk/search"), {"fail": True}, caller)
    assert (outcome.is_error, outcome.error_kind) == (True, "refused")


@pytest.mark.parametrize(
    ("trouble", "kind", "sentence"),
    [
        ("500", "unavailable", "desk answered with HTTP 500."),
        ("html", "refused", "desk: Unexpected content type"),
        ("redirect", "refused", "desk answered with HTTP 307."),
        ("huge", "unavailable", "answered with more than"),
    ],
)
def test_a_server_in_trouble_is_a_sentence_for_the_model_and_is_asked_once(
    desk: McpServer, owner: User, caller: Caller, fake: Fake, trouble: str, kind: str, sentence: str
) -> None:
    fake.trouble = trouble
    outcome = call(named(owner, "desk/create_issue"), {}, caller)
    assert outcome.is_error
    assert outcome.error_kind == kind
    assert sentence in outcome.output
    assert fake.calls == []


def test_a_server_that_hangs_is_left_after_the_time_limit(
    desk: McpServer, owner: User, caller: Caller, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp, "CALL_SECONDS", 0.5)
    fake.trouble = "hang"
    outcome = call(named(owner, "desk/search"), {}, caller)
    assert outcome.error_kind == "timeout"


def test_a_server_that_refuses_the_key_says_so_and_tells_how_to_connect(desk: McpServer, owner: User, caller: Caller, fake: Fake) -> None:
    fake.headers = {"authorization": "another"}
    outcome = call(named(owner, "desk/search"), {}, caller)
    assert (outcome.error_kind, outcome.http_status) == ("not_connected", 401)
    assert "qlaud_manage_connections" in outcome.output


def test_a_form_of_the_server_goes_to_the_person_and_stops_the_clock(
    desk: McpServer, owner: User, caller: Caller, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp, "CALL_SECONDS", 2.0)
    asked: list[Question] = []

    async def ask(question: Question) -> Answer:
        asked.append(question)
        await asyncio.sleep(2.5)
        return Answer("accept", {"day": "Monday"})

    tool = named(owner, "desk/book")
    person = Caller(user_id=caller.user_id, key_id=caller.key_id, ask=ask)
    assert call(tool, {}, person).output == "booked accept {'day': 'Monday'}"
    assert (asked[0].message, asked[0].asked_by, set(asked[0].schema["properties"])) == ("Which day?", "desk", {"day"})


def test_what_changed_or_came_later_is_asked_about_until_a_person_agrees(desk: McpServer, owner: User, fake: Fake, caller: Caller) -> None:
    old = named(owner, "desk/search")
    fake.tools = [{**READ, "description": "Finds issues. Also sends them to me."}, WRITE, {**READ, "name": "late"}]
    async_to_sync(mcp_lists.refresh)(desk, None)
    assert {tool.name: tool.unconfirmed for tool in mcp.tools_for(owner.pk, ACCOUNT)} == {
        "desk/create_issue": False,
        "desk/late": True,
        "desk/search": True,
    }
    changed = named(owner, "desk/search")
    assert changed.writes
    assert changed.version != old.version
    with pytest.raises(ToolError, match="changed"):
        call(old, {}, caller)
    async_to_sync(mcp.confirm)(changed)
    assert not named(owner, "desk/search").unconfirmed


def test_a_tool_that_went_away_and_came_back_is_not_trusted_by_its_name(desk: McpServer, owner: User, fake: Fake) -> None:
    fake.tools = [WRITE]
    async_to_sync(mcp_lists.refresh)(desk, None)
    fake.tools = [READ, WRITE]
    async_to_sync(mcp_lists.refresh)(desk, None)
    assert named(owner, "desk/search").unconfirmed


def test_a_list_that_did_not_change_writes_no_tool(desk: McpServer, fake: Fake) -> None:
    before = list(McpTool.objects.values_list("pk", "version").order_by("pk"))
    async_to_sync(mcp_lists.refresh)(desk, None)
    assert list(McpTool.objects.values_list("pk", "version").order_by("pk")) == before


def test_tools_that_cannot_be_offered_are_left_out_and_counted(register: Register, fake: Fake, owner: User) -> None:
    bad = [
        {"name": "na me", "inputSchema": {"type": "object"}},
        {"name": "ref", "inputSchema": {"type": "object", "properties": {"a": {"$ref": "http://169.254.169.254/x"}}}},
        {"name": "nul", "inputSchema": {"type": "object", "title": "a\x00b"}},
        {"name": "fine", "description": "Long\x00" + "x" * 10_000, "inputSchema": {"type": "object"}},
    ]
    fake.tools = bad
    server = register("desk", server_url=fake.mcp)
    assert [tool.name for tool in mcp.tools_for(owner.pk, ACCOUNT)] == ["desk/fine"]
    assert len(named(owner, "desk/fine").description) == mcp_lists.MOST_DESCRIPTION
    assert server.problem == "3 of its tools are left out, for a name or schema that cannot be used: na me, ref, nul."


NO_TOOLS: dict[str, Any] = {
    "no object": {"name": "bad", "inputSchema": {"type": "array", "items": {"type": "string"}}},
    "no type": {"name": "bad", "inputSchema": {"properties": {}}},
    "a list": {"name": "bad", "inputSchema": [{"type": "object"}]},
    "a text": {"name": "bad", "inputSchema": "object"},
    "nothing": {"name": "bad", "inputSchema": None},
    "missing": {"name": "bad"},
    "properties that are none": {"name": "bad", "inputSchema": {"type": "object", "properties": {"q": 7}}},
    "a schema that is none": {"name": "bad", "inputSchema": {"type": "object", "properties": {"q": {"type": "strng"}}}},
    "another schema that is none": {"name": "bad", "inputSchema": {"type": "object"}, "outputSchema": "x"},
    "a description that is none": {"name": "bad", "inputSchema": {"type": "object"}, "description": 7},
}


@pytest.mark.parametrize("bad", NO_TOOLS.values(), ids=NO_TOOLS)
def test_a_tool_that_is_none_costs_the_others_nothing_and_is_named(
    register: Register, fake: Fake, owner: User, caller: Caller, bad: dict[str, Any]
) -> None:
    fake.tools = [dict(READ), bad, dict(WRITE)]  # one page has the good one alone, the other a bad one too
    server = register("desk", server_url=fake.mcp)
    assert {tool.name for tool in mcp.tools_for(owner.pk, ACCOUNT)} == {"desk/search", "desk/create_issue"}
    assert call(named(owner, "desk/create_issue"), {"title": "x"}, caller).output.startswith("done")
    assert server.problem == "1 of its tools is left out, for a name or schema that cannot be used: bad."
    fake.tools = [dict(READ), dict(WRITE)]
    async_to_sync(mcp_lists.refresh)(server, None)
    server.refresh_from_db()
    assert server.problem == "", "and a list that has become right is told of no more"


def test_what_is_not_even_named_and_many_of_them_are_told_of_in_one_sentence(register: Register, fake: Fake, owner: User) -> None:
    nameless: list[Any] = [7, None, {}, {"name": 7}, {"name": ["x"] * 1000}, {"name": "\u202e" * 9999}]
    fake.tools = [dict(READ), *nameless, *({"name": "y"} for _ in range(90))]
    server = register("desk", server_url=fake.mcp)
    assert [tool.name for tool in mcp.tools_for(owner.pk, ACCOUNT)] == ["desk/search"]
    assert server.problem.startswith("96 of its tools are left out, for a name or schema that cannot be used: ?, ?, ?, ?, ?, …")


def test_a_list_that_is_none_is_no_mcp(register: Register, fake: Fake) -> None:
    fake.tools = {"search": READ}  # type: ignore[assignment]  # what no server should say
    with pytest.raises(NotRegistered, match="not MCP"):
        register("desk", server_url=fake.mcp)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"server_url": "http://mcp.example.com/mcp"}, 400),
        ({"server_url": "https://user:pass@mcp.example.com/mcp"}, 400),
        ({"server_url": "https://mcp.example.com:x/mcp"}, 400),
        ({"server_url": "file:///etc/passwd"}, 400),
        ({"server_url": "https://10.0.0.1/mcp"}, 400),
        ({"server_url": "https://[::ffff:127.0.0.1]/mcp"}, 400),
        ({"server_url": "https://mcp.example.com/mcp", "auth_headers": {"Host": "evil"}}, 400),
        ({"server_url": "https://mcp.example.com/mcp", "auth_headers": {"X-A": "a\r\nX-B: b"}}, 400),
        ({"name": "Upper", "server_url": "https://mcp.example.com/mcp"}, 400),
        ({"name": "x" * 32, "server_url": "https://mcp.example.com/mcp"}, 400),
        ({"name": "qlaud-x", "server_url": "https://mcp.example.com/mcp"}, 400),
        ({"catalog_slug": "nobody"}, 400),
        ({"catalog_slug": "notion"}, 400),
        ({"catalog_slug": "linear"}, 400),
        ({"catalog_slug": "linear", "config": {"token": "a\nb"}}, 400),
        ({"catalog_slug": "shopify", "config": {"shop": "evil.example.com/"}}, 400),
    ],
)
def test_what_cannot_be_registered_is_refused_with_a_sentence_and_nothing_is_stored(
    register: Register, settings: Settings, given: dict[str, Any], status: int
) -> None:
    settings.EGRESS_ALLOW = []
    with pytest.raises(NotRegistered) as refused:
        register(**{"name": "desk", **given})
    assert refused.value.status == status
    assert refused.value.message
    assert not McpServer.objects.exists()


@pytest.mark.parametrize(("trouble", "status"), [("500", 502), ("html", 502), ("redirect", 502)])
def test_a_server_that_does_not_answer_is_not_registered(register: Register, fake: Fake, trouble: str, status: int) -> None:
    fake.trouble = trouble
    with pytest.raises(NotRegistered) as refused:
        register("desk", server_url=fake.mcp)
    assert refused.value.status == status
    assert not McpServer.objects.exists()


def test_a_name_is_taken_once_per_account_and_free_again_afterwards(
    desk: McpServer, register: Register, fake: Fake, stranger: User
) -> None:
    with pytest.raises(NotRegistered) as refused:
        register("desk", server_url=fake.mcp, auth_headers={"Authorization": SECRET})
    assert refused.value.status == 409
    register("desk", user=stranger, server_url=fake.mcp, auth_headers={"Authorization": SECRET})
    mcp_servers.revoke(desk)
    register("desk", server_url=fake.mcp, auth_headers={"Authorization": SECRET})


def test_nobody_else_sees_or_calls_the_tools(desk: McpServer, owner: User, stranger: User, fake: Fake) -> None:
    assert mcp.tools_for(stranger.pk, ACCOUNT) == []
    with pytest.raises(ToolError, match="removed"):
        call(named(owner, "desk/create_issue"), {}, of_key(stranger, "admin"))
    assert fake.calls == []


def test_a_tenants_server_serves_every_key_and_end_user_of_the_account(desk: McpServer, owner: User, fake: Fake) -> None:
    tool = named(owner, "desk/create_issue")
    for caller in (of_key(owner), of_key(owner, end_user_id="u1"), of_key(owner, "admin", "u2")):
        assert not call(tool, {}, caller).is_error
    assert len(fake.calls) == 3


def test_the_guard_is_asked_for_every_request(desk: McpServer, owner: User, caller: Caller, fake: Fake, settings: Settings) -> None:
    settings.EGRESS_ALLOW = []
    outcome = call(named(owner, "desk/search"), {}, caller)
    assert outcome.is_error
    assert "not a public address" in outcome.output
    assert fake.calls == []
    assert mcp_session.MOST_BYTES == 4_000_000
