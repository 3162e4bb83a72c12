"""The newest entries of an RSS or Atom feed."""

from typing import Any
from urllib.parse import urljoin

from tools.page_text import to_markdown
from tools.registry import Builtin, Use
from tools.schemas import limit, takes, text
from tools.values import Outcome, ToolError
from tools.vendor import send, split
from tools.xml_tree import Element, XmlError, parse

TYPES = ("application/rss+xml", "application/atom+xml", "application/rdf+xml", "application/xml", "text/")
MOST_SUMMARY = 600  # characters


async def run(arguments: dict[str, Any], use: Use) -> Outcome:
    address = arguments["url"].strip()
    headers = {"Accept": ", ".join(TYPES[:4])}
    reply = await send(split(address).hostname or "The feed", "GET", address, headers=headers, types=TYPES, redirects=5)
    try:
        root = parse(reply.body)
    except XmlError as error:
        raise ToolError(f"That is no feed that can be read: {error}", "invalid") from None
    if root.name not in ("rss", "feed", "RDF"):
        raise ToolError(f"That is no feed but a document of the type {root.name[:40]}.", "invalid")
    channel = root.first("channel") or root
    entries = [one for one in (*channel.children, *root.children) if one.name in ("item", "entry")]
    most = arguments.get("limit", 10)
    shown = {"title": channel.text("title"), "entries": [_entry(one, reply.url) for one in entries[:most]]}
    return Outcome(shown, http_status=reply.status)


def _entry(entry: Element, address: str) -> dict[str, str]:
    links = entry.all("link")
    link = next((one for one in links if one.attributes.get("rel", "alternate") == "alternate"), links[0] if links else None)
    target = (link.attributes.get("href") or link.text()) if link else entry.text("guid")
    summary = to_markdown(entry.text("description", "summary", "encoded", "content")).text
    found = {
        "title": entry.text("title"),
        "url": urljoin(address, target),
        "date": entry.text("pubDate", "published", "updated", "date"),
        "author": entry.text("creator", "author"),
        "summary": summary if len(summary) <= MOST_SUMMARY else f"{summary[:MOST_SUMMARY]}…",
    }
    return {name: value for name, value in found.items() if value}


TOOL = Builtin(
    slug="read-feed",
    display_name="Read a feed",
    description="Reads the newest entries of an RSS or Atom feed.",
    brand="chatai",
    input_schema=takes("url", url=text("The feed's address.", least=8, most=4000), limit=limit()),
    run=run,
    writes=False,
    repeatable=True,
)
