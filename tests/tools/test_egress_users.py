"""Everybody who connects to an address that a person, a model or a server chose: none of them gets anywhere it should not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from pytest_django import Settings

from chatai.lib.http import EgressError
from tests.tools.hostile_urls import NAMES, URLS
from tests.tools.internet import Names, Site, connects, site
from tools import mcp_session, oauth_sites, registry, webhooks
from tools.oauth_sites import OAuthError
from tools.registry import Use
from tools.smtp import Server, deliver
from tools.values import Caller, Tool, ToolError

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
    return await oauth_sites.send("POST", url, content=b"code=canary")


async def webhook(url: str) -> Any:
    """As a row that was stored before the address was known to be bad, so that the door has not refused it."""
    tool = Tool("hook", "Calls.", {}, "webhook")
    outcome = await webhooks.call("tool_x", url, "canary", 200, tool, {}, Caller(user_id=uuid4()))
    raise ToolError(outcome.output, outcome.error_kind)


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
    "an image service": builtin("image-generation", {"prompt": "x"}, "address", openai_api_key="canary"),
    "a webhook": webhook,
    "an MCP server": mcp,
    "a description of a sign-in": discovery,
    "a sign-in": token,
    "a mail server": mail,
}
REFUSALS = (ToolError, EgressError, OAuthError, mcp_session.McpFailure)


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Names:
    settings.EGRESS_ALLOW = []
    monkeypatch.setattr(webhooks, "BACKOFF", (0.0, 0.0, 0.0))
    resolver = Names()
    resolver.known |= NAMES
    monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
    return resolver


@pytest.fixture
async def good(settings: Settings) -> AsyncIterator[Site]:
    settings.EGRESS_ALLOW = ["good.test"]
    async with site() as one:
        yield one


@pytest.mark.parametrize("name", USERS)
async def test_a_hostile_address_is_never_connected_to(name: str) -> None:
    # A public host at a port that is not for HTTP may well be a mail server.
    hostile = [url for url in URLS if name != "a mail server" or "93.184.216.34" not in url]
    with connects() as tried:
        for url in hostile:
            with pytest.raises(REFUSALS):
                await asyncio.wait_for(USERS[name](url), 10)
    assert tried == []
    assert len(hostile) > 200


@pytest.mark.parametrize("name", [name for name in USERS if name != "a mail server"])
async def test_nor_is_one_that_a_redirect_leads_to(name: str, good: Site) -> None:
    hostile = [url for url in URLS[::4] if url.startswith(NAMED)]
    with connects() as tried:
        for number, url in enumerate(hostile):
            path = f"/redirect?{(301, 302, 303, 307, 308)[number % 5]},{quote(url)}"
            with suppress(*REFUSALS):
                await asyncio.wait_for(USERS[name](good.url(path)), 10)
    assert set(tried) == {("127.0.0.1", good.port)}


@pytest.mark.parametrize("name", ["a page", "any HTTP call", "an MCP server"])
async def test_nor_where_a_name_leads_the_second_time(name: str, names: Names, good: Site, settings: Settings) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.2"]  # where nobody listens; the site on 127.0.0.1 is inside
    names.turns["rebinding.test"] = [["127.0.0.2"], ["127.0.0.1"]]
    with connects() as tried, pytest.raises(REFUSALS):
        await asyncio.wait_for(USERS[name](f"http://rebinding.test:{good.port}/ok"), 10)
    assert ("127.0.0.2", good.port) in tried
    assert "127.0.0.1" not in [address for address, _ in tried]
    assert good.requests == []


@pytest.mark.parametrize("path", ["/bomb", "/endless"])
@pytest.mark.parametrize("name", ["a page", "a feed", "any HTTP call"])
async def test_none_takes_in_more_than_it_can_hold(name: str, path: str, good: Site) -> None:
    with pytest.raises(REFUSALS, match="more than"):
        await asyncio.wait_for(USERS[name](good.url(path)), 60)
