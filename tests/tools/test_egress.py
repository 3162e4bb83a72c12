"""What leaves the machine: to whom, with what, and how much of it comes back."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import httpx2
import pytest
from pytest_django import Settings

from chatai.lib import egress
from chatai.lib.http import EgressError, GuardedTransport, check_url, fetch
from tests.tools.hostile_urls import INSIDE_V4, INSIDE_V6, LIES, NAMES, URLS
from tests.tools.internet import Names, Site, connects, redirect, reply, said, site

REDIRECTS = [301, 302, 303, 307, 308]


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Names:
    settings.EGRESS_ALLOW = ["good.test"]
    resolver = Names()
    resolver.known |= NAMES | {"public.test": ["93.184.216.34"]}
    monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
    return resolver


@pytest.fixture
async def good() -> AsyncIterator[Site]:
    async with site() as one:
        yield one


@pytest.fixture
def tried() -> Iterator[list[tuple[str, int]]]:
    with connects() as seen:
        yield seen


async def refused(url: str, **how: int) -> str:
    with pytest.raises(EgressError) as caught:
        await fetch("GET", url, seconds=5, **how)  # type: ignore[arg-type]
    return caught.value.kind


def test_there_are_at_least_two_hundred_hostile_addresses() -> None:
    assert len(set(URLS)) >= 200


async def test_no_hostile_address_is_connected_to(tried: list[tuple[str, int]], settings: Settings) -> None:
    settings.EGRESS_ALLOW = []
    kinds = {url: await refused(url) for url in URLS}
    assert tried == []
    assert {url: kind for url, kind in kinds.items() if kind != "forbidden"} == {}


async def test_none_is_through_an_sdk_with_the_guarded_transport_either(tried: list[tuple[str, int]], settings: Settings) -> None:
    settings.EGRESS_ALLOW = []
    async with httpx2.AsyncClient(transport=GuardedTransport(1_000_000), trust_env=False) as client:
        for url in URLS:
            with pytest.raises((EgressError, httpx2.InvalidURL, httpx2.UnsupportedProtocol, ValueError, TypeError)):
                await client.get(url)
    assert tried == []


@pytest.mark.parametrize("status", REDIRECTS)
async def test_no_redirect_leads_to_one(good: Site, tried: list[tuple[str, int]], status: int) -> None:
    for url in URLS[status % 5 :: 5]:  # between the five of them, all
        try:
            reply = await fetch("GET", good.url(f"/redirect?{status},{quote(url)}"), seconds=5, redirects=3)
        except EgressError:
            continue
        assert reply.url.startswith(good.url()), url  # what is no whole address is a path of the site
    assert set(tried) == {("127.0.0.1", good.port)}


async def test_a_name_that_changes_between_two_look_ups_is_connected_to_where_it_was_checked(
    names: Names, tried: list[tuple[str, int]], good: Site, settings: Settings
) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.2"]  # where nobody listens; the site on 127.0.0.1 is inside
    names.turns["rebinding.test"] = [["127.0.0.2"], ["127.0.0.1"]]
    assert await refused(f"http://rebinding.test:{good.port}/ok") == "network"
    assert await refused(f"http://rebinding.test:{good.port}/ok") == "forbidden"
    assert tried == [("127.0.0.2", good.port)]
    assert names.asked.count("rebinding.test") == 2  # one look-up for each request
    assert good.requests == []


def test_every_range_that_is_not_public_is_forbidden() -> None:
    inside = [ipaddress.ip_address(text.replace("%25", "%")) for text in (*INSIDE_V4, *INSIDE_V6)]
    assert [str(one) for one in inside if not egress.forbidden(one)] == []
    public = ["8.8.8.8", "93.184.216.34", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450:4001:81c::200e"]
    assert [text for text in public if egress.forbidden(ipaddress.ip_address(text))] == []
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "fc00::/7", "fe80::/10"):
        edges = ipaddress.ip_network(network)
        assert egress.forbidden(edges[0])
        assert egress.forbidden(edges[-1])


async def test_the_operator_can_allow_a_host_an_address_or_a_network(good: Site, settings: Settings) -> None:
    for entry in ("good.test", "GOOD.TEST.", "127.0.0.1", "127.0.0.0/8"):
        settings.EGRESS_ALLOW = ["other.test", entry]
        assert (await fetch("GET", good.url("/ok"))).text() == "fine"
    settings.EGRESS_ALLOW = ["127.0.0.2", "test", "10.0.0.0/8"]
    assert await refused(good.url("/ok")) == "forbidden"


async def test_the_name_and_not_the_address_is_what_the_server_is_asked_for(good: Site) -> None:
    await fetch("GET", good.url("/ok"), params={"q": "a b&c"}, headers={"X-Mine": "1"})
    request = good.requests[-1]
    assert request.headers["host"] == f"good.test:{good.port}"
    assert (request.path, request.headers["x-mine"]) == ("/ok?q=a+b%26c", "1")


async def test_keys_do_not_follow_a_redirect_to_another_origin(good: Site, settings: Settings, names: Names) -> None:
    settings.EGRESS_ALLOW = ["good.test", "other.test"]
    names.known["other.test"] = ["127.0.0.1"]
    secret = {"Authorization": "Bearer hidden", "X-Api-Key": "hidden", "Cookie": "hidden", "Accept": "text/plain"}
    for host, kept in (("good.test", True), ("other.test", False)):
        to = quote(good.url("/ok", host))
        assert (await fetch("GET", good.url(f"/redirect?302,{to}"), headers=secret, redirects=1)).text() == "fine"
        headers = good.requests[-1].headers
        assert ("hidden" in str(headers)) is kept
        assert headers["accept"] == "text/plain"


async def test_what_was_sent_does_not_follow_one_either(good: Site, settings: Settings, names: Names) -> None:
    settings.EGRESS_ALLOW = ["good.test", "other.test"]
    names.known["other.test"] = ["127.0.0.1"]
    with pytest.raises(EgressError, match="another host"):
        await fetch("POST", good.url(f"/redirect?307,{quote(good.url('/ok', 'other.test'))}"), json={"a": 1}, redirects=1)
    await fetch("POST", good.url(f"/redirect?307,{quote(good.url('/ok'))}"), json={"a": 1}, redirects=1)
    assert (good.requests[-1].method, good.requests[-1].json) == ("POST", {"a": 1})
    await fetch("POST", good.url(f"/redirect?303,{quote(good.url('/ok'))}"), json={"a": 1}, redirects=1)
    assert (good.requests[-1].method, good.requests[-1].body) == ("GET", b"")
    assert "content-type" not in good.requests[-1].headers


async def test_redirects_are_not_followed_unless_asked_and_end(good: Site) -> None:
    good.answers["/loop"] = lambda request, writer: reply(302, location="/loop")(request, writer)
    assert (await fetch("GET", good.url("/loop"))).status == 302
    assert await refused(good.url("/loop"), redirects=4) == "redirect"
    assert len(good.requests) == 1 + 5


async def test_a_bomb_is_noticed_before_it_is_in_memory(good: Site) -> None:
    await fetch("GET", good.url("/bomb"), most_bytes=200_000_000)  # what is loaded and made for the first time is not counted
    tracemalloc.start()
    try:
        assert await refused(good.url("/bomb")) == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


async def test_a_body_that_never_ends_is_cut_off(good: Site) -> None:
    assert await refused(good.url("/endless"), most_bytes=1_000_000) == "too_large"


async def test_neither_silence_nor_one_byte_a_second_holds_anybody_up(good: Site) -> None:
    for path in ("/hang", "/drip"):
        with pytest.raises(EgressError, match=r"good\.test did not answer within 0\.4 seconds"):
            await fetch("GET", good.url(path), seconds=0.4)


async def test_the_time_is_for_all_redirects_together(good: Site) -> None:
    async def slowly(request: object, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        redirect(good.requests[-1], writer)

    good.answers["/slow"] = slowly
    url = good.url("/ok")
    for _ in range(5):
        url = good.url(f"/slow?302,{quote(url)}")
    assert await refused_within(url, 0.5) == "timeout"


async def refused_within(url: str, seconds: float) -> str:
    with pytest.raises(EgressError) as caught:
        await fetch("GET", url, seconds=seconds, redirects=9)
    return caught.value.kind


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", lambda data: zlib.compress(data, wbits=-15)), ("identity", bytes)],
)
async def test_compressed_answers_are_read(good: Site, encoding: str, pack: object) -> None:
    data = bytes(range(256)) * 1000
    good.answers["/packed"] = reply(body=pack(data), content_encoding=encoding)  # type: ignore[operator]
    got = await fetch("GET", good.url("/packed"))
    assert got.body == data
    assert "content-encoding" not in got.headers


async def test_answers_that_cannot_be_unpacked_are_said_to_be_so(good: Site) -> None:
    good.answers["/broken"] = reply(body=b"\x1f\x8bnot gzip", content_encoding="gzip")
    good.answers["/foreign"] = reply(body=b"...", content_encoding="br")
    good.answers["/twice"] = reply(body=gzip.compress(gzip.compress(b"x")), content_encoding="gzip, gzip")
    for path in ("/broken", "/foreign", "/twice"):
        assert await refused(good.url(path)) == "type"


async def test_only_wanted_types_are_read(good: Site) -> None:
    good.answers["/json"] = said({"a": 1})
    assert (await fetch("GET", good.url("/json"), types=("application/json",))).json() == {"a": 1}
    with pytest.raises(EgressError, match="text/html"):
        await fetch("GET", good.url("/html"), types=("application/json",))
    assert (await fetch("GET", good.url("/gone"), types=("application/json",))).status == 404  # what went wrong is read all the same
    with pytest.raises(ValueError, match="JSON"):
        (await fetch("GET", good.url("/html"))).json()


async def test_nothing_that_goes_wrong_tells_the_path_or_the_key(good: Site, settings: Settings) -> None:
    settings.EGRESS_ALLOW = ["good.test"]
    for url in (good.url("/hang/canary?token=canary"), "http://10.0.0.1/canary", "http://nowhere.test/canary", "ftp://canary/"):
        good.answers["/hang/canary"] = good.answers["/hang"]
        with pytest.raises(EgressError) as caught:
            await fetch("GET", url, headers={"authorization": "canary"}, seconds=0.2)
        assert "canary" not in str(caught.value)


async def test_a_server_that_is_gone_or_talks_nonsense_is_a_network_error(good: Site) -> None:
    good.answers["/nonsense"] = lambda request, writer: writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    good.answers["/silent"] = lambda request, writer: writer.close()
    for path in ("/nonsense", "/silent"):
        assert await refused(good.url(path)) == "network"
    port, good.port = good.port, 1024
    assert await refused(good.url("/ok")) == "network"
    good.port = port


def test_addresses_for_later_are_refused_when_they_are_given(settings: Settings) -> None:
    settings.EGRESS_ALLOW = ["good.test"]
    for url in ("https://example.com/hook?x=1", "https://example.com:8443/", "http://good.test/hook"):
        check_url(url)
    for address in INSIDE_V4:
        for scheme in ("http", "https"):
            with pytest.raises(EgressError):
                check_url(f"{scheme}://{address}/", https=False)
    for url in LIES:
        if "good.test" not in url and "public.test" not in url and "93.184" not in url:
            with pytest.raises(EgressError):
                check_url(url)
    with pytest.raises(EgressError, match="https"):
        check_url("http://example.com/")
