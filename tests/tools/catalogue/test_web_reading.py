"""Pages and feeds as strangers write them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from pytest_django import Settings

from tests.tools.catalogue.vendor import Answer, Vendor
from tools.page_text import to_markdown
from tools.registry import Use, as_outcome, builtin
from tools.values import Caller, Outcome, ToolError
from tools.xml_tree import XmlError, parse

USE = Use(Caller(uuid.uuid4()))
HTML = {"content-type": "text/html; charset=utf-8"}
PAGE = """<!doctype html><html><head><title> A &amp; B
</title><script>alert("no")</script><style>p{}</style></head><body>
<nav><a href="/home">Home</a></nav>
<h1>Hello <em>world</em></h1>
<p>One   <b>bold</b> <a href="/more?a=1">more</a> <a href="javascript:alert(1)">bad</a> &lt;tag&gt;</p>
<ul><li>first<ul><li>inner</li></ul></li><li>second</li></ul><ol><li>one</li><li>two</li></ol>
<pre>def f():
    return  1</pre>
<table><tr><th>Name</th><th>Age</th></tr><tr><td>Ada</td><td>36</td></tr></table>
<img src="x.png" alt="A cat"><script>more()</script><form><input value="secret"></form>
<footer>Imprint</footer></body></html>"""
RSS = """<?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>News</title>
<item><title>First &amp; best</title><link>/one</link><pubDate>Thu, 01 Jan 2026 10:00:00 GMT</pubDate><dc:creator>Ada</dc:creator>
<description>&lt;p&gt;Some &lt;b&gt;text&lt;/b&gt;&lt;script&gt;x()&lt;/script&gt;&lt;/p&gt;</description></item>
<item><title>Second</title><guid>https://news.example.com/two</guid></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>Blog</title><entry><title>Post</title>
<link rel="self" href="https://blog.example.com/self"/><link href="https://blog.example.com/post"/>
<updated>2026-01-01T00:00:00Z</updated><author><name>Bob</name></author><summary>Short</summary></entry></feed>"""
BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<rss><channel><title>&b;</title></channel></rss>"""
LOCAL = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><rss><channel><title>&f;</title></channel></rss>"""


@pytest.fixture(autouse=True)
def sites(vendor: Vendor, settings: Settings) -> None:
    settings.TOOL_ORIGINS = vendor.origins("page.example.com", "news.example.com")


async def run(slug: str, **arguments: Any) -> Outcome:
    one = builtin(slug)
    assert one is not None
    return as_outcome(await one.run(arguments, USE))


def test_a_page_becomes_markdown() -> None:
    read = to_markdown(PAGE, "https://page.example.com/a/")
    assert read.title == "A & B"
    assert read.text == (
        "# Hello *world*\n\nOne **bold** [more](https://page.example.com/more?a=1) bad <tag>\n\n"
        "- first\n\n  - inner\n\n- second\n\n1. one\n2. two\n\n"
        "```\ndef f():\n    return  1\n```\n\n| Name | Age |\n| Ada | 36 |\n\n[image: A cat]"
    )


def test_the_article_is_taken_where_a_page_has_one() -> None:
    story = "<p>" + "Long enough to be the story itself. " * 10 + "</p>"
    read = to_markdown(f"<body><div>Cookies! Newsletter!</div><main>{story}</main></body>")
    assert read.text.startswith("Long enough")
    assert "Cookies" not in read.text
    assert "Cookies" in to_markdown("<div>Cookies!</div><main><p>Too short</p></main>").text


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 50_000,
        "<a href='x'>" * 20_000,
        "<ul><li>" * 5_000 + "x",
        "<![CDATA[" * 1000,
        "<!--" * 5000,
        "<svg><script>x</script>" * 1000,
        "</div></ul></a></pre></title></main>" * 1000,
        "&#xFFFFFFFF;&#0;&nosuch;" * 100,
        "<a href='http://[::1'>x</a>",
        "<title>" * 1000,
    ],
    ids=lambda html: html[:20],
)
def test_hostile_pages_are_read_without_harm(html: str) -> None:
    assert isinstance(to_markdown(html, "https://page.example.com").text, str)


async def test_fetching_gives_title_text_and_where_it_ended(vendor: Vendor) -> None:
    vendor.answers(Answer(PAGE, headers=HTML))
    told = await run("fetch-page", url="https://page.example.com/a?x=1")
    assert told.output["title"] == "A & B"
    assert told.output["text"].startswith("# Hello")
    assert vendor.asked[0].line == "GET https://page.example.com/a"
    assert vendor.asked[0].headers["user-agent"] == "chatai"
    assert "authorization" not in vendor.asked[0].headers


async def test_a_long_page_comes_in_pieces(vendor: Vendor) -> None:
    page = Answer("<p>" + "a" * 250 + "</p>", headers=HTML)
    vendor.answers(page, page)
    first = (await run("fetch-page", url="https://page.example.com/", max_chars=100)).output
    assert (len(first["text"]), first["more"]) == (100, "150 characters follow; call again with start=100.")
    rest = (await run("fetch-page", url="https://page.example.com/", start=200, max_chars=100)).output
    assert (rest["text"], "more" in rest) == ("a" * 50, False)


async def test_what_is_no_text_and_what_is_not_there_is_said(vendor: Vendor) -> None:
    vendor.answers(Answer(b"\x89PNG", headers={"content-type": "image/png"}))
    with pytest.raises(ToolError, match="image/png"):
        await run("fetch-page", url="https://page.example.com/cat.png")
    vendor.answers(Answer("<h1>Not here</h1>", 404, HTML))
    with pytest.raises(ToolError, match=r"page\.example\.com refused \(404\)"):
        await run("fetch-page", url="https://page.example.com/gone")
    vendor.answers(Answer("x" * 6_000_000, headers=HTML))
    with pytest.raises(ToolError, match="more than 5,000,000 bytes"):
        await run("fetch-page", url="https://page.example.com/large")


@pytest.mark.parametrize(
    "address", ["not an address", "file:///etc/passwd", "ftp://example.com/", "//example.com", "https://", "javascript:alert(1)"]
)
async def test_only_web_addresses_are_fetched(vendor: Vendor, address: str) -> None:
    with pytest.raises(ToolError) as caught:
        await run("fetch-page", url=address)
    assert caught.value.kind in ("invalid", "refused")
    assert vendor.asked == []


async def test_a_page_inside_the_network_is_not_fetched(vendor: Vendor, settings: Settings) -> None:
    settings.EGRESS_ALLOW = []
    for address in (vendor.url, "http://169.254.169.254/latest/meta-data/", "http://[::ffff:127.0.0.1]/", "http://localhost:8000/"):
        for slug in ("fetch-page", "read-feed"):
            with pytest.raises(ToolError) as caught:
                await run(slug, url=address)
            assert caught.value.kind == "refused"
    assert vendor.asked == []


async def test_rss_and_atom_are_read_alike(vendor: Vendor) -> None:
    vendor.answers(Answer(RSS, headers={"content-type": "application/rss+xml"}), Answer(ATOM, headers={"content-type": "text/xml"}))
    rss = (await run("read-feed", url="https://news.example.com/rss")).output
    assert rss["title"] == "News"
    first, second = rss["entries"]
    assert first["url"].endswith("/one")
    assert {**first, "url": ""} == {
        "title": "First & best",
        "url": "",
        "date": "Thu, 01 Jan 2026 10:00:00 GMT",
        "author": "Ada",
        "summary": "Some **text**",
    }
    assert second == {"title": "Second", "url": "https://news.example.com/two"}
    atom = (await run("read-feed", url="https://news.example.com/atom", limit=1)).output
    assert atom["entries"] == [
        {"title": "Post", "url": "https://blog.example.com/post", "date": "2026-01-01T00:00:00Z", "author": "Bob", "summary": "Short"}
    ]


@pytest.mark.parametrize("document", [BOMB, LOCAL, b"<rss>" * 300, b"<html><body>no feed</body></html>", b"", b"\xff\xfe\x00", b"<rss"])
async def test_what_is_no_feed_or_would_explode_is_refused(vendor: Vendor, document: bytes) -> None:
    vendor.answers(Answer(document, headers={"content-type": "application/xml"}))
    with pytest.raises(ToolError) as caught:
        await run("read-feed", url="https://news.example.com/rss")
    assert caught.value.kind == "invalid"
    assert "root:" not in caught.value.message


def test_xml_of_a_million_elements_is_given_up() -> None:
    with pytest.raises(XmlError, match="too large"):
        parse(b"<a>" + b"<b/>" * 300_000 + b"</a>")
