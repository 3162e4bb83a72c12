"""Every tool of the catalogue that speaks to a vendor, against a stand-in that holds it to the vendor's own documentation."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from pytest_django import Settings

from tests.tools.catalogue import business, people, planning, web
from tests.tools.catalogue.case import Account, Case
from tests.tools.catalogue.vendor import Answer, Vendor
from tools.arguments import check_schema, misfit
from tools.registry import Builtin, Use, as_outcome, builtin, builtins
from tools.schemas import secret_names
from tools.values import Caller, Outcome, ToolError

CASES = [*planning.CASES, *people.CASES, *business.CASES, *web.CASES]
ACCOUNTS: dict[str, Account] = {**planning.ACCOUNTS, **people.ACCOUNTS, **business.ACCOUNTS, **web.ACCOUNTS}
# What speaks to no vendor, or in its own way, has a test of its own.
ELSEWHERE = {
    *("calculator", "convert-units", "current-time", "make-chart", "make-file", "run-python"),
    *("fetch-page", "read-feed", "http-call", "s3-list-objects", "s3-read-object", "s3-write-object"),
}
CALLER = Caller(uuid.uuid4(), end_user_id="user_42", metadata={"email": "owner@example.com", "phone": "+15005550042"})

by_tool = pytest.mark.parametrize("row", CASES, ids=str)


@pytest.fixture(autouse=True)
def everywhere(vendor: Vendor, settings: Settings) -> None:
    settings.TOOL_ORIGINS = vendor.origins(*{exchange.host for row in CASES for exchange in row.exchanges})


def found(row: Case) -> Builtin:
    one = builtin(row.tool)
    assert one is not None
    return one


def account(row: Case) -> Account:
    """By the longest prefix: gmail-search is of gmail, google-drive-read of google-drive."""
    name = row.account or max((name for name in ACCOUNTS if f"{row.tool}-".startswith(f"{name}-")), key=len)
    return ACCOUNTS[name]


async def run(row: Case, config: dict[str, Any] | None = None) -> Outcome:
    given = dict(account(row).config) if config is None else config
    return as_outcome(await found(row).run(dict(row.arguments), Use(CALLER, given)))


def test_every_tool_of_the_catalogue_is_tried() -> None:
    slugs = {one.slug for one in builtins() if one.brand != "tests"}
    assert slugs - {row.tool for row in CASES} - ELSEWHERE - {"search-conversations"} == set()
    assert len(slugs) >= 50


def test_the_documents_name_every_tool_and_what_it_changes() -> None:
    """A tool that writes is printed bold."""
    page = (settings.BASE_DIR / "docs" / "builtins.md").read_text()
    named = re.findall(r"(\*\*)?`([a-z0-9]+(?:-[a-z0-9]+)*)`(?:\*\*)?(?=,| \|)", page)
    catalogue = builtins()
    assert sorted(slug for _, slug in named) == [one.slug for one in catalogue]
    assert {slug for bold, slug in named if bold} == {one.slug for one in catalogue if one.writes}
    assert f"\n{len(catalogue)} of them" in page


@by_tool
def test_what_the_model_says_and_what_is_connected_fit_their_schemas(row: Case) -> None:
    one = found(row)
    check_schema(dict(one.input_schema))
    check_schema(dict(one.config_schema))
    assert misfit(one.input_schema, dict(row.arguments)) == ""
    assert misfit(one.config_schema, dict(account(row).config)) == ""


@by_tool
async def test_the_vendor_gets_what_its_documentation_asks_for(row: Case, vendor: Vendor) -> None:
    vendor.answers(*(exchange.answer for exchange in row.exchanges))
    outcome = await run(row)
    assert (outcome.output, outcome.is_error) == (row.gives, False)
    assert sorted(asked.line for asked in vendor.asked) == sorted(exchange.line for exchange in row.exchanges)
    for asked, exchange in zip(vendor.asked, row.exchanges, strict=True):
        assert asked.line == exchange.line
        assert sorted(asked.query) == sorted(exchange.query_pairs())
        wanted = {**account(row).headers, **exchange.headers}
        assert {name: asked.headers.get(name) for name in wanted} == wanted
        if isinstance(exchange.sends, bytes):
            assert asked.body == exchange.sends
        elif exchange.form is not None:
            assert asked.body.decode() == urlencode(exchange.form, quote_via=quote)
            assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
        else:
            assert (json.loads(asked.body) if asked.body else None) == exchange.sends
            assert not asked.body or asked.headers["content-type"].startswith("application/json")


@by_tool
async def test_a_refusal_is_told_in_the_vendors_words(row: Case, vendor: Vendor) -> None:
    refusal = account(row).refusal
    vendor.answers(*[refusal] * len(row.exchanges))
    with pytest.raises(ToolError) as caught:
        await run(row)
    assert account(row).words in caught.value.message
    assert caught.value.kind == "refused"
    assert caught.value.http_status == refusal.status


@by_tool
async def test_a_vendor_that_repeats_the_credentials_gives_nothing_away(row: Case, vendor: Vendor) -> None:
    one, config = found(row), dict(account(row).config)
    secrets = [str(config[name]) for name in secret_names(one.config_schema) if config.get(name)]
    headers = [value for value in account(row).headers.values() if "canary" in value or value.startswith("Basic ")]
    echo = " ".join([*secrets, *headers])
    for status, kind in ((401, "not_connected"), (403, "refused"), (429, "unavailable"), (500, "unavailable")):
        vendor.answers(*[Answer({"message": f"you sent {echo}"}, status)] * len(row.exchanges))
        with pytest.raises(ToolError) as caught:
            await run(row)
        assert caught.value.kind == kind
        assert "canary" not in caught.value.message
        assert not any(header.removeprefix("Basic ") in caught.value.message for header in headers)


@by_tool
async def test_nonsense_and_silence_are_told_as_such(row: Case, vendor: Vendor) -> None:
    vendor.answers(*[Answer("<html>Bad gateway</html>", 502, {"content-type": "text/html"})] * len(row.exchanges))
    with pytest.raises(ToolError) as caught:
        await run(row)
    assert (caught.value.kind, caught.value.http_status) == ("unavailable", 502)
    assert "html" not in caught.value.message


@by_tool
async def test_without_credentials_the_vendor_is_not_asked(row: Case, vendor: Vendor) -> None:
    if found(row).auth_mode == "none":
        return
    vendor.answers()
    with pytest.raises(ToolError) as caught:
        await run(row, config={})
    assert caught.value.kind == "not_connected"
    assert vendor.asked == []


async def test_an_argument_changes_neither_host_nor_path(vendor: Vendor) -> None:
    one = builtin("github-create-issue")
    assert one is not None
    config = dict(ACCOUNTS["github"].config)
    for repo in ("..", ".", "../../user"):
        vendor.answers(Answer({}))
        with pytest.raises(ToolError, match="piece of its path"):
            await one.run({"owner": "octo", "repo": repo, "title": "x"}, Use(CALLER, config))
        assert vendor.asked == []
    vendor.answers(Answer({"number": 1}))
    await one.run({"owner": "a/b?c#d@e", "repo": "%2e%2e", "title": "x"}, Use(CALLER, config))
    assert vendor.asked[0].path == "/repos/a%2Fb%3Fc%23d%40e/%252e%252e/issues"


async def test_a_refresh_token_is_exchanged_once_for_many_calls(vendor: Vendor, settings: Settings) -> None:
    settings.TOOL_ORIGINS = {**settings.TOOL_ORIGINS, **vendor.origins("oauth2.googleapis.com")}
    one = builtin("google-sheets-read")
    assert one is not None
    config = {"refresh_token": "canary-refresh", "client_id": "id", "client_secret": "canary-secret"}
    cells = Answer({"range": "A1", "values": [["1"]]})
    vendor.answers(Answer({"access_token": "canary-access", "expires_in": 3599, "token_type": "Bearer"}), cells, cells)
    for _ in range(2):
        await one.run({"spreadsheet_id": "s", "range": "A1"}, Use(CALLER, config))
    exchange, *reads = vendor.asked
    assert exchange.line == "POST https://oauth2.googleapis.com/token"
    assert exchange.body == b"grant_type=refresh_token&refresh_token=canary-refresh&client_id=id&client_secret=canary-secret"
    assert [read.headers["authorization"] for read in reads] == ["Bearer canary-access"] * 2


async def test_a_refresh_token_that_was_taken_back_asks_for_a_new_connection(vendor: Vendor, settings: Settings) -> None:
    settings.TOOL_ORIGINS = {**settings.TOOL_ORIGINS, **vendor.origins("oauth2.googleapis.com")}
    one = builtin("google-sheets-read")
    assert one is not None
    vendor.answers(Answer({"error": "invalid_grant", "error_description": "canary-refresh was revoked"}, 400))
    with pytest.raises(ToolError) as caught:
        await one.run({"spreadsheet_id": "s", "range": "A1"}, Use(CALLER, {"refresh_token": "canary-refresh", "client_id": "id"}))
    assert caught.value.kind == "not_connected"
    assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    ("setting", "given", "account", "price"),
    [
        ("BRAVE_API_KEY", "canary-brave-key", "brave", 5000),
        ("TAVILY_API_KEY", "canary-tavily-key", "tavily", 5000),
        ("SEARXNG_URL", "https://search.example.com", "searxng", 5000),
        ("OPENAI_API_KEYS", ["canary-openai-key", "another"], "", 50000),
    ],
)
async def test_the_operators_keys_serve_whoever_has_none(
    vendor: Vendor, settings: Settings, setting: str, given: Any, account: str, price: int
) -> None:
    row = next(row for row in CASES if row.account == account and row.tool in ("web-search", "image-generation"))
    one = found(row)
    for name, nothing in (("BRAVE_API_KEY", ""), ("TAVILY_API_KEY", ""), ("SEARXNG_URL", ""), ("OPENAI_API_KEYS", [])):
        setattr(settings, name, nothing)
    assert not one.open
    setattr(settings, setting, given)
    assert (one.open, one.price_micros) == (True, price)
    vendor.answers(row.exchanges[0].answer)
    await run(row, config={})
    wanted = ACCOUNTS[account or row.tool].headers
    assert {name: vendor.asked[0].headers.get(name) for name in wanted} == wanted
    vendor.answers(Answer({"message": f"your key {given} is used up"}, 402))
    with pytest.raises(ToolError) as caught:
        await run(row, config={})
    assert "canary" not in caught.value.message
