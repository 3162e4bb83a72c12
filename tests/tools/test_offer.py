"""Which tools a turn is sent with, how they are found, and what a thousand of them cost."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any
from uuid import uuid4

import pytest

from accounts import keys
from accounts.models import User
from tools import actions, discovery, finding, offer
from tools.database import in_thread
from tools.finding import Index
from tools.meta import META
from tools.models import RegisteredTool
from tools.offer import BadTool, UnknownTool
from tools.values import Caller, Found

pytestmark = pytest.mark.django_db(transaction=True)

SCHEMA = {"type": "object", "properties": {"id": {"type": "string", "description": "Whose."}}}
META_NAMES = ["qlaud_search_tools", "qlaud_get_tool_schemas", "qlaud_multi_execute", "qlaud_manage_connections"]
SUBJECTS = ("invoice", "customer", "refund", "shipment", "calendar", "lead", "contract", "employee", "server", "ticket")
VERBS = ("create", "list", "search", "delete", "update", "export", "approve", "archive", "assign", "merge")


def hook(user: User, name: str, description: str = "Looks something up.") -> RegisteredTool:
    return actions.register_webhook(user, name=name, description=description, input_schema=SCHEMA, webhook_url="https://example.com/x")[0]


async def hooked(user: User, name: str, description: str = "Looks something up.") -> RegisteredTool:
    return await in_thread(hook, user, name, description)


def of(user: User, **more: Any) -> Caller:
    return Caller(user_id=user.pk, **more)


async def names_found(user: User, intent: str, limit: int = 8) -> list[str]:
    return [row["name"] for row in (await discovery.search(of(user), intent, limit))["results"]]


async def test_dynamic_is_the_four_meta_tools_and_asks_the_database_nothing(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    await hooked(owner, "lookup")
    with monkeypatch.context() as without:
        without.setattr(offer, "caller_shelf", None)
        made = await offer.offer(of(owner), "dynamic", None, None)
        assert [tool.name for tool in made.tools] == META_NAMES
        assert await made.find("qlaud_multi_execute") is not None
    found = await made.find("lookup")
    assert found is not None
    assert found.kind == "webhook"
    assert await made.find("calculator") is not None
    assert await made.find("qlaud-builtin/calculator") is not None
    assert await made.find("nothing") is None


async def test_tenant_is_what_the_account_shares(owner: User, stranger: User) -> None:
    await hooked(owner, "lookup")
    await hooked(stranger, "theirs")
    made = await offer.offer(of(owner), "tenant", None, None)
    assert [tool.name for tool in made.tools] == ["lookup"]
    assert await made.find("calculator") is None
    assert await made.find("theirs") is None


async def test_explicit_is_exactly_what_was_named(owner: User, stranger: User) -> None:
    rows = [await hooked(owner, name) for name in ("one", "two", "three")]
    foreign = await hooked(stranger, "theirs")
    ids = [rows[2].wire_id, "qlaud-builtin/calculator", rows[0].wire_id, rows[2].wire_id]
    await in_thread(offer.check_ids, owner.pk, ids)
    made = await offer.offer(of(owner), "explicit", ids, None)
    assert [tool.name for tool in made.tools] == ["three", "calculator", "one"]
    assert await made.find("two") is None
    assert (await offer.offer(of(owner), "explicit", [], None)).tools == []
    assert (await offer.offer(of(owner), "explicit", None, None)).tools == []
    for bad in (foreign.wire_id, "tool_" + "0" * 32, "tool_x", "one", "", "qlaud-builtin/nothing", "x" * 500):
        with pytest.raises(UnknownTool):
            await in_thread(offer.check_ids, owner.pk, [rows[0].wire_id, bad])
        with pytest.raises(UnknownTool):
            await offer.offer(of(owner), "explicit", [bad], None)


async def test_what_is_registered_or_revoked_counts_at_once_whoever_wrote_it(owner: User) -> None:
    made = await offer.offer(of(owner), "dynamic", None, None)
    assert await made.find("lookup") is None
    row = await hooked(owner, "lookup")
    assert await made.find("lookup") is not None
    await in_thread(actions.revoke, owner.pk, row.wire_id)
    assert await made.find("lookup") is None
    again = await hooked(owner, "lookup")
    await in_thread(RegisteredTool.objects.filter(pk=again.pk).update, description="Said by another process.")
    found = await made.find("lookup")
    assert found is not None
    assert found.description == "Said by another process."


async def test_what_the_account_registered_stands_before_a_built_in_of_that_name(owner: User, stranger: User) -> None:
    await hooked(owner, "calculator", "Our own.")
    for user, kind in ((owner, "webhook"), (stranger, "builtin")):
        found = await (await offer.offer(of(user), "dynamic", None, None)).find("calculator")
        assert found is not None
        assert found.kind == kind
    assert (await names_found(owner, "calculator")).count("calculator") == 1


async def test_an_apps_own_tools_ride_along_in_every_mode(owner: User) -> None:
    mine: list[dict[str, Any]] = [{"name": "open_file", "description": "Opens.", "input_schema": SCHEMA}, {"name": "bare"}]
    for mode in ("dynamic", "tenant", "explicit"):
        before = META_NAMES if mode == "dynamic" else []
        made = await offer.offer(of(owner), mode, None, mine)
        assert [tool.name for tool in made.tools] == [*before, "open_file", "bare"]
        assert [tool.kind for tool in made.tools][-2:] == ["client", "client"]


@pytest.mark.parametrize(
    "bad",
    [
        [{"description": "no name"}],
        [{"name": "a b"}],
        [{"name": "x" * 65}],
        [{"name": 5}],
        [{"name": "a", "description": 5}],
        [{"name": "a", "input_schema": {"type": "array"}}],
        [{"name": "a", "input_schema": {"$ref": "http://127.0.0.1/"}}],
        [{"name": "a"}, {"name": "a"}],
        [{"name": "qlaud_multi_execute"}],
        [{"name": f"t{number}"} for number in range(129)],
    ],
)
def test_an_apps_own_tool_that_is_not_described_is_refused(bad: list[dict[str, Any]]) -> None:
    with pytest.raises(BadTool, match="client_tools"):
        offer.own_tools(bad)


def test_the_mode_follows_from_what_was_sent() -> None:
    assert offer.mode_of(None, None) == "dynamic"
    assert offer.mode_of(None, []) == offer.mode_of(None, ["a"]) == offer.mode_of("explicit", None) == "explicit"
    assert offer.mode_of("tenant", None) == "tenant"
    with pytest.raises(BadTool):
        offer.mode_of("tenant", [])


async def test_searching_finds_what_words_say(owner: User) -> None:
    await hooked(owner, "refund_order", "Gives the money of an order back to the customer.")
    await hooked(owner, "orderHistory", "Everything that a customer bought.")
    assert (await names_found(owner, "refund an order"))[:2] == ["refund_order", "orderHistory"]
    assert (await names_found(owner, "give money back"))[0] == "refund_order"
    assert "calculator" in await names_found(owner, "calculate 12 * 7")
    assert "current-time" in await names_found(owner, "what time is it?")
    assert (await names_found(owner, "create a ticket in Linear"))[0].startswith(("linear", "qlaud-mcp/linear"))
    assert await names_found(owner, "zzz qqq") == []
    assert len(await names_found(owner, "create search list send", limit=3)) == 3


async def test_what_is_denied_is_not_found_and_what_is_not_connected_says_so(owner: User) -> None:
    await in_thread(actions.set_rule, owner, "calculator", "deny")
    assert "calculator" not in await names_found(owner, "calculator calculate")
    rows = (await discovery.search(of(owner), "linear issue", 25))["results"]
    assert {row["connected"] for row in rows if row["name"].startswith(("linear", "qlaud-mcp/linear"))} == {False}
    assert set(rows[0]) == {"name", "description", "kind", "connected"}


async def test_schemas_are_given_for_what_is_there(owner: User) -> None:
    await hooked(owner, "lookup")
    given = (await discovery.schemas(of(owner), ["lookup", "nothing", "qlaud-mcp/linear"]))["schemas"]
    assert given[0] == {"name": "lookup", "description": "Looks something up.", "input_schema": SCHEMA}
    assert "qlaud_search_tools" in given[1]["error"]
    assert "qlaud_manage_connections" in given[2]["error"]


async def test_meaning_finds_what_words_do_not(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def vector(text: str) -> list[float]:
        near = any(word in text.lower() for word in ("refund", "reimburse"))
        return [1.0, -0.1] if near else [-0.1, 1.0]

    async def embed(texts: list[str]) -> list[list[float]]:
        return [vector(text) for text in texts]

    await hooked(owner, "refund_order", "Gives money back.")
    assert "refund_order" not in await names_found(owner, "reimburse somebody")
    finding.set_embedder(embed)
    try:
        await names_found(owner, "reimburse somebody")  # the first search has the descriptions embedded, behind its back
        assert finding._learner is not None
        await finding._learner
        assert (await names_found(owner, "reimburse somebody"))[0] == "refund_order"

        async def broken(texts: list[str]) -> list[list[float]]:
            raise OSError

        finding.set_embedder(broken)
        assert (await names_found(owner, "refund order"))[0] == "refund_order"

        async def slow(texts: list[str]) -> list[list[float]]:
            await asyncio.sleep(60)
            raise AssertionError

        monkeypatch.setattr(finding, "EMBED_SECONDS", 0.01)
        finding.set_embedder(slow)
        assert (await names_found(owner, "refund order"))[0] == "refund_order"
    finally:
        finding.set_embedder(None)
        if finding._learner:
            finding._learner.cancel()


def a_thousand(user: User) -> None:
    RegisteredTool.objects.bulk_create(
        RegisteredTool(
            user=user,
            kind="webhook",
            name=f"{VERBS[number % 10]}_{SUBJECTS[number // 10 % 10]}_{number}",
            description=f"{VERBS[number % 10].title()}s one {SUBJECTS[number // 10 % 10]} of department {number} in our own system. " * 3,
            input_schema=SCHEMA,
            webhook_url=f"https://example.com/{number}",
        )
        for number in range(990)
    )


def prompt(tools: list[Any]) -> str:
    return json.dumps([[tool.name, tool.description, tool.input_schema] for tool in tools])


async def test_a_thousand_tools_cost_a_prompt_nothing_and_a_search_little(owner: User) -> None:
    for number in range(10):
        await hooked(owner, f"lookup_{'abcdefghij'[number]}")
    with_ten = prompt((await offer.offer(of(owner), "dynamic", None, None)).tools)
    await in_thread(a_thousand, owner)
    key, _ = await in_thread(keys.mint, owner, "app")
    assert prompt((await offer.offer(of(owner), "dynamic", None, None)).tools) == with_ten == prompt(list(META))
    taken = []
    for number in range(200):
        caller = of(owner, key_id=key.pk, end_user_id=f"user_{number}", thread_id=uuid4())
        begun = time.perf_counter()
        found = await discovery.search(caller, f"please {VERBS[number % 10]} the {SUBJECTS[number % 7]} of department {number}", 8)
        taken.append((time.perf_counter() - begun) * 1000)
        assert len(found["results"]) == 8
        assert found["results"][0]["name"].startswith(VERBS[number % 10])
    print(f"1,000 tools: search p50 {statistics.median(taken):.1f} ms, p95 {statistics.quantiles(taken, n=20)[-1]:.1f} ms")
    print(f"prompt of the tools: {len(with_ten)} bytes with 10 tools and with 1,000")


def test_the_index_of_nothing_finds_nothing() -> None:
    assert Index([]).by_words("anything") == []
    assert Index([]).by_meaning([1.0]) == []
    assert Index([Found("a", "", "webhook")]).by_words("") == []
