"""The sanitised HTML of an answer, dressed for the page: code with a header, links with their host, nothing loaded unasked.

It works on text because the sanitiser's output is canonical: `<` is always a tag, attribute values are always in double
quotes, and every element is closed.
"""

from __future__ import annotations

import re
from html import escape, unescape
from urllib.parse import unquote, urlsplit

from threads.markup.code import highlight, label_of, language_of

PART = re.compile(
    r'<pre><code(?: class="language-(?P<info>[^"]*)")?>(?P<code>[^<]*)</code></pre>'
    r"|<code>[^<]*</code>"
    r'|<span class="math[^<]*</span>'
    r"|(?P<link><a(?P<link_attributes>(?: [a-z]+=\"[^\"]*\")*)>)"
    r"|(?P<end></a>)"
    r"|<img(?P<image>(?: [a-z]+=\"[^\"]*\")*)>"
    r"|(?P<table></?table>)"
    r"|(?P<task><input(?: [a-z]+=\"[^\"]*\")*>)"
    r"|(?P<bare>\bhttps?://[^\s<>\"'`|\\^{}]+)"
)
ATTRIBUTE = re.compile(r' ([a-z]+)="([^"]*)"')
HOST = re.compile(r"[a-z0-9._:-]+")
ANGLE = re.compile("&[lg]t;")
TRAILING = ".,;:!?*_~"  # at the end of an address they belong to the sentence
MAX_ADDRESS = 2_000  # characters
MAX_COLOURED = 60_000  # characters of code in one message; about 0.2 s
COPY = '<button type="button" class="copy" data-copy>Copy</button>'
SCROLLER = '<div class="table-scroll" role="region" aria-label="Table" tabindex="0">'
REL = "noopener noreferrer nofollow"
DIAGRAMS = {"mermaid"}


def dress(html: str) -> str:
    """Linear in the length of `html`, apart from the colours of code, which have a limit of their own."""
    return PART.sub(_Dresser().part, html)


def figure(info: str, code: str, element_id: str = "") -> str:
    """A block of code with its header. `code` is HTML already; with an id it is one that still grows."""
    language = language_of(info)
    drawn = language in DIAGRAMS and not element_id
    target = f' id="{escape(element_id)}"' if element_id else ""
    return (
        f'<figure class="{"diagram" if drawn else "code"}"><figcaption><span>{escape(label_of(language))}</span>{COPY}</figcaption>'
        f'<pre tabindex="0"><code{target}>{code}</code></pre></figure>'
    )


def host_of(address: str) -> str:
    """The host as a browser will read it, in ASCII; empty when it has none that can be shown honestly."""
    try:
        host = unquote(urlsplit(address.replace("\\", "/")).hostname or "")
        host = host if host.isascii() else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        return ""
    return host if HOST.fullmatch(host) else ""


def _names_host(words: str, host: str) -> bool:
    """Whether a link's words are its address; a host further in is no proof: `https://bank.example/?evil.example`."""
    start = words.strip().lower().removeprefix("https://").removeprefix("http://")
    return start.startswith(host) and start[len(host) : len(host) + 1] in ("", "/", ":", "?", "#")


class _Dresser:
    def __init__(self) -> None:
        self.in_link = False
        self.colourable = MAX_COLOURED

    def part(self, match: re.Match[str]) -> str:
        groups = match.groupdict()
        if groups["code"] is not None:
            return self._code(groups["info"] or "", unescape(groups["code"]))
        if groups["link"]:
            self.in_link = True
            return self._link(dict(ATTRIBUTE.findall(groups["link_attributes"])), match)
        if groups["end"]:
            self.in_link = False
        elif groups["image"] is not None:
            return self._image(dict(ATTRIBUTE.findall(groups["image"])))
        elif groups["table"]:
            return f"{SCROLLER}<table>" if match[0] == "<table>" else "</table></div>"
        elif groups["task"]:
            done = "checked=" in match[0]
            return f'<input type="checkbox" disabled{" checked" if done else ""} aria-label="{"Done" if done else "To do"}">'
        elif groups["bare"] and not self.in_link:
            return self._bare(match[0])
        return match[0]

    def _code(self, info: str, code: str) -> str:
        language = language_of(unescape(info))
        self.colourable -= len(code)
        coloured = highlight(language, code) if self.colourable >= 0 and language not in DIAGRAMS else None
        return figure(language, escape(code, quote=False) if coloured is None else coloured)

    def _link(self, attributes: dict[str, str], match: re.Match[str]) -> str:
        address = attributes.get("href", "")
        if not address.startswith(("http://", "https://")):
            return match[0]
        host = host_of(unescape(address))
        if not host:
            return "<a>"
        shown = match.string[match.end() : match.string.find("</a>", match.end())]
        note = "" if _names_host(shown, host) else f' data-host="{escape(host)}"'
        title = f' title="{attributes["title"]}"' if "title" in attributes else ""
        return f'<a href="{address}"{title} rel="{REL}" target="_blank"{note}>'

    def _bare(self, address: str) -> str:
        link = ANGLE.split(address, maxsplit=1)[0].rstrip(TRAILING)
        if len(link) > MAX_ADDRESS:
            return address
        unmatched = link.count(")") - link.count("(")
        while unmatched > 0 and link.endswith(")"):
            link, unmatched = link[:-1], unmatched - 1
        link = link.rstrip(TRAILING)
        if not host_of(unescape(link)):
            return address
        return f'<a href="{link}" rel="{REL}" target="_blank">{link}</a>{address[len(link) :]}'

    def _image(self, attributes: dict[str, str]) -> str:
        words = attributes.get("alt", "")
        address = attributes.get("src", "")
        host = host_of(unescape(address))
        if self.in_link or not host:
            return f"<span>{words or 'image'}</span>"
        label = f": {words}" if words else ""
        return f'<button type="button" class="remote-image" data-image="{address}">Load image from {escape(host)}{label}</button>'
