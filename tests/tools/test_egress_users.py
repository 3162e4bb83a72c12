"""Everybody who connects to an address that a person, a model or a server chose: none of them gets anywhere it should not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from pytest_django import Settings

from chatai.lib.http import EgressError
from tests.tools.hostile_urls import NAMES, URLS
from tests.tools.internet import Names, Site, connects, site
from tools import mcp_session, oauth, oauth_sites, registry
from tools.oauth_sites import OAuthError
from tools.oauth_sites import Site as SignIn
from tools.registry import Use
from tools.smtp import Server, deliver
from tools.values import Caller, ToolError

User = Callable[[str], Awaitable[Any]]
NAMED = ("http://", "https://")


def builtin(slug: str, arguments: dict[str, Any] | None = None, setting: str = "", **config: Any) -> User:
    """A built-in with the address as its argument `url`, or as a setting."""

    async def use(url: str) -> Any:
        one = registry.builtin(slug)
        assert one is not None, slug
        given = {**config, setting: url} if setting else config
        return await one.run((arguments or {}) if setting else {"url": url}, Use(Caller(user_id=uuid4()), given))

    return use


async def mcp(url: str) -> Any:
    return await mcp_session.list_tools(mcp_session.Endpoint("test", url, {"Authorization": "canary"}, "legacy"), 5)


async def discovery(url: str) -> Any:
    return await oauth_sites.discover(url)


async def token(url: str) -> Any:
    """The endpoints that a sign-in service names are somebody else's choice too."""
    where = SignIn(issuer=url, authorization_endpoint=url, token_endpoint=url, registration_endpoint=url, revocation_endpoint=url)
    return await oauth.send("POST", where.token_endpoint, content=b"code=canary")


async def mail(url: str) -> Any:
    host = url.partition("://")[2].rpartition("@")[2].rstrip("/") or url
    return await deliver(Server(host=host, port=587, security="none", username="", password=""), _message())


def _message() -> Any:
    from email.message import EmailMessage

    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "c"
    return message


S3 = {"bucket": "b", "region": "eu-central-1", "access_key_id": "a", "secret_access_key": "canary"}
USERS: dict[str, User] = {
    "a page": builtin("fetch-page"),
    "a feed": builtin("read-feed"),
    "any HTTP call": builtin("http-call", {}, "url", method="GET"),
    "a SearXNG": builtin("web-search", {"query": "x"}, "searxng_url"),
    "a Teams channel": builtin("teams-post-message", {"text": "x"}, "webhook_url"),
    "a GitLab": builtin("gitlab-search-issues", {"project": "a/b"}, "base_url", token="canary"),
    "an object store": builtin("s3-read-object", {"key": "x"}, "endpoint", **S3),
    "an MCP server": mcp,
    "a description of a sign-in": discovery,
    "a sign-in": token,
    "a mail server": mail,
}
REFUSALS = (ToolError, EgressError, OAuthError, mcp_session.McpFailure)


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Names:
    settings.EGRESS_ALLOW = []
    resolver = Names()
    resolver.known |= NAMES
    monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
    return resolver


@pytest.fixture
async def good(settings: Settings) -> AsyncIterator[Site]:
    settings.EGRESS_ALLOW = ["good.test"]
    async with site() as one:
        yield one


@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
async def test_a_hostile_address_is_never_connected_to(user: User) -> None:
    with connects() as tried:
        for url in URLS:
            with pytest.raises(REFUSALS):
                await asyncio.wait_for(user(url), 10)
    assert tried == []


@pytest.mark.parametrize(
    "user", [one for name, one in USERS.items() if name != "a mail server"], ids=[n for n in USERS if n != "a mail server"]
)
async def test_nor_is_one_that_a_redirect_leads_to(user: User, good: Site) -> None:
    with connects() as tried:
        for number, url in enumerate(one for one in URLS[::4] if one.startswith(NAMED)):
            path = f"/redirect?{(301, 302, 303, 307, 308)[number % 5]},{quote(url)}"
            for spelling in ("/redirect", path):
                good.answers.setdefault(spelling, good.answers["/redirect"])
            try:
                await asyncio.wait_for(user(good.url(path)), 10)
            except REFUSALS:
                continue
    assert {peer for peer in tried if peer != ("127.0.0.1", good.port)} == set()
    assert good.requests != []


@pytest.mark.parametrize("user", [USERS["a page"], USERS["any HTTP call"], USERS["an MCP server"]], ids=["page", "call", "mcp"])
async def test_nor_where_a_name_leads_the_second_time(user: User, names: Names, good: Site) -> None:
    names.turns["rebinding.test"] = [["93.184.216.34"], ["127.0.0.1"]]
    with connects() as tried, pytest.raises((*REFUSALS, TimeoutError)):
        await asyncio.wait_for(user(f"http://rebinding.test:{good.port}/ok"), 0.5)
    assert "127.0.0.1" not in [address for address, _ in tried]


@pytest.mark.parametrize("path", ["/bomb", "/endless"])
@pytest.mark.parametrize(
    "user", [USERS["a page"], USERS["a feed"], USERS["any HTTP call"], USERS["a SearXNG"]], ids=["page", "feed", "call", "search"]
)
async def test_none_takes_in_more_than_it_can_hold(user: User, path: str, good: Site) -> None:
    with pytest.raises(REFUSALS, match="more than"):
        await asyncio.wait_for(user(good.url(path)), 30)
