"""What runs, what is asked about and what is refused."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from accounts import keys
from accounts.models import User
from tools import actions
from tools.database import in_thread
from tools.models import ToolRule
from tools.rules import Ruling, allow_in_chat, decide, verdict
from tools.values import Caller, Kind, Tool

pytestmark = pytest.mark.django_db(transaction=True)

THREAD, OTHER = uuid4(), uuid4()


def tool(name: str = "linear/create_issue", kind: Kind = "mcp", **more: Any) -> Tool:
    return Tool(name, "", {"type": "object"}, kind, version=more.pop("version", "1"), **more)


def rule(verdict: str, pattern: str, user: User | None = None, **more: Any) -> ToolRule:
    return ToolRule(verdict=verdict, pattern=pattern, user=user, **more)


def test_without_rules_reading_runs_and_writing_asks() -> None:
    assert decide(tool(writes=False), []) == Ruling("allow", "default")
    assert decide(tool(writes=True), []) == Ruling("ask", "default")


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([("user", "allow", "linear/*")], "allow"),
        ([("user", "allow", "github/*")], "ask"),
        ([("user", "deny", "*"), ("user", "allow", "linear/create_issue")], "deny"),
        ([("admin", "deny", "linear/*"), ("user", "allow", "linear/create_issue"), ("chat", "allow", "linear/create_issue")], "deny"),
        ([("admin", "allow", "*"), ("user", "deny", "linear/*")], "deny"),
        ([("admin", "ask", "*"), ("user", "allow", "linear/create_issue")], "ask"),
        ([("admin", "allow", "linear/*")], "allow"),
        ([("admin", "allow", "linear/*"), ("user", "ask", "*")], "ask"),
        ([("user", "ask", "*"), ("user", "allow", "linear/*")], "allow"),
        ([("user", "allow", "*"), ("user", "ask", "linear/*")], "ask"),
        ([("user", "allow", "linear/*issue"), ("user", "ask", "linear/create_issue")], "ask"),
        ([("user", "ask", "linear/create_issue"), ("chat", "allow", "linear/create_issue")], "allow"),
        ([("user", "allow", "LINEAR/*")], "ask"),
        ([("user", "allow", "qlaud-mcp/linear")], "allow"),
        ([("user", "deny", "qlaud-mcp/*")], "deny"),
    ],
)
def test_deny_wins_then_the_administrator_then_the_most_particular(rules: list[tuple[str, str, str]], expected: str, owner: User) -> None:
    made = [
        rule(said, pattern, None if who == "admin" else owner, thread_id=THREAD if who == "chat" else None) for who, said, pattern in rules
    ]
    found = decide(tool(provider="qlaud-mcp/linear"), made)
    assert found.verdict == expected
    assert decide(tool(provider="qlaud-mcp/linear"), made[::-1]).verdict == expected
    assert found.by.startswith("admin rule") or found.by.startswith("rule") or found.by == "default"


def test_a_tool_that_changed_is_asked_about_whatever_was_allowed(owner: User) -> None:
    changed = tool(unconfirmed=True, writes=False)
    assert decide(changed, []) == Ruling("ask", "changed")
    assert decide(changed, [rule("allow", "*", owner)]) == Ruling("ask", "changed")
    assert decide(changed, [rule("deny", "*", owner)]).verdict == "deny"


async def ruled(found: Tool, user: User, **who: Any) -> str:
    return (await verdict(found, {}, Caller(user_id=user.pk, **who))).verdict


async def test_what_was_allowed_in_one_chat_is_asked_about_in_another_and_after_a_change(owner: User, stranger: User) -> None:
    await in_thread(allow_in_chat, owner.pk, THREAD, tool())
    await in_thread(allow_in_chat, owner.pk, THREAD, tool())
    assert await ruled(tool(), owner, thread_id=THREAD) == "allow"
    assert await ruled(tool(), owner, thread_id=OTHER) == "ask"
    assert await ruled(tool(), owner) == "ask"
    assert await ruled(tool(), stranger, thread_id=THREAD) == "ask"
    assert await ruled(tool("linear/delete_issue"), owner, thread_id=THREAD) == "ask"
    assert await ruled(tool(version="2"), owner, thread_id=THREAD) == "ask"


async def test_rules_of_one_account_are_not_anothers_and_those_of_the_administrator_are_everybodys(owner: User, stranger: User) -> None:
    await in_thread(actions.set_rule, owner, "linear/*", "allow")
    assert (await ruled(tool(), owner), await ruled(tool(), stranger)) == ("allow", "ask")
    await in_thread(ToolRule.objects.create, pattern="linear/*", verdict="deny")
    assert (await ruled(tool(), owner), await ruled(tool(), stranger)) == ("deny", "deny")


async def test_an_apps_own_webhook_runs_in_its_turns_and_asks_in_a_persons(owner: User) -> None:
    app, _ = await in_thread(keys.mint, owner, "app")
    own = await in_thread(keys.personal_key, owner)
    assert own is not None
    hook = tool("refund", "webhook")
    assert await verdict(hook, {}, Caller(user_id=owner.pk, key_id=app.pk)) == Ruling("allow", "registered")
    assert await ruled(hook, owner, key_id=own.pk) == "ask"
    assert await ruled(hook, owner) == "ask"
    assert await ruled(tool("send-email", "builtin"), owner, key_id=app.pk) == "ask"
    await in_thread(actions.set_rule, owner, "refund", "ask")
    assert await ruled(hook, owner, key_id=app.pk) == "ask"


async def test_what_does_nothing_by_itself_is_never_asked_about(owner: User) -> None:
    await in_thread(actions.set_rule, owner, "*", "ask")
    kinds: tuple[Kind, ...] = ("meta", "client")
    for kind in kinds:
        assert await ruled(tool("qlaud_multi_execute", kind), owner) == "allow"


def test_a_rule_that_makes_no_sense_is_refused_and_setting_one_again_replaces_it(owner: User, stranger: User) -> None:
    for pattern, said in (("", "allow"), ("a b", "allow"), ("x" * 201, "deny"), ("a", "maybe")):
        with pytest.raises(actions.Refusal):
            actions.set_rule(owner, pattern, said)
    first = actions.set_rule(owner, "a/*", "allow")
    assert actions.set_rule(owner, "a/*", "deny").pk == first.pk
    assert not actions.drop_rule(stranger, first.pk)
    assert actions.drop_rule(owner, first.pk)
