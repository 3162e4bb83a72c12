"""A web page as Markdown: what a reader would read, without scripts, menus and dress."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urljoin

# Whole elements that no reader reads.
SILENT = {
    "script",
    "style",
    "noscript",
    "template",
    "svg",
    "canvas",
    "iframe",
    "object",
    "form",
    "button",
    "select",
    "nav",
    "aside",
    "footer",
    "head",
}
BLOCKS = {
    "p",
    "div",
    "section",
    "article",
    "main",
    "header",
    "figure",
    "figcaption",
    "table",
    "ul",
    "ol",
    "dl",
    "address",
    "details",
    "summary",
    "hr",
}
HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*", "del": "~~", "s": "~~"}
VOID = {"br", "hr", "img", "meta", "link", "input", "wbr", "source", "area", "base", "col", "embed", "track", "param"}
MOST_DEPTH = 400  # elements inside each other that are followed; a page of more is a hostile one


@dataclass(frozen=True, slots=True)
class PageText:
    title: str
    text: str


def to_markdown(html: str, address: str = "") -> PageText:
    """Links are made absolute with `address`. The part inside <main> or <article> alone, when there is enough of it."""
    reader = _Reader(address)
    reader.feed(html)
    reader.close()
    whole, inner = _tidy("".join(reader.parts)), _tidy("".join(reader.inner))
    return PageText(_line(reader.title), inner if len(inner) > 200 and len(inner) * 20 > len(whole) else whole)


class _Reader(HTMLParser):
    def __init__(self, address: str) -> None:
        super().__init__(convert_charrefs=True)
        self.address = address
        self.parts: list[str] = []  # the whole page
        self.inner: list[str] = []  # what is inside of main or article
        self.title = ""
        self.in_title = False
        self.silent = 0  # how many silent elements are open
        self.main = 0
        self.code = 0  # open <pre>
        self.lists: list[int | None] = []  # open lists: the next number, None for bullets
        self.links: list[str] = []
        self.cells = 0

    def put(self, text: str) -> None:
        self.parts.append(text)
        if self.main:
            self.inner.append(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self.in_title = not self.title
        if tag in SILENT or self.silent:
            self.silent += tag not in VOID
            return
        if tag in ("main", "article"):
            self.main += 1
        given = dict(attrs)
        if tag in HEADINGS:
            self.put(f"\n\n{HEADINGS[tag]} ")
        elif tag in MARKS and not self.code:
            self.put(MARKS[tag])
        elif tag in BLOCKS:
            self.put("\n\n---\n\n" if tag == "hr" else "\n\n")
        self._start_special(tag, given)

    def _start_special(self, tag: str, given: dict[str, str | None]) -> None:
        match tag:
            case "br":
                self.put("\n")
            case "pre":
                self.code += 1
                self.put("\n\n```\n")
            case "code" if not self.code:
                self.put("`")
            case "blockquote":
                self.put("\n\n> ")
            case "ul" | "ol":
                self.lists = [*self.lists, 1 if tag == "ol" else None][-MOST_DEPTH:]
            case "li":
                self._item()
            case "tr":
                self.put("\n")
                self.cells = 0
            case "td" | "th":
                self.put(" | " if self.cells else "| ")
                self.cells += 1
            case "a":
                self.links = [*self.links, self._absolute(given.get("href"))][-MOST_DEPTH:]
                self.put("[" if self.links[-1] else "")
            case "img" if given.get("alt"):
                self.put(f"[image: {_line(str(given['alt']))}]")

    def _item(self) -> None:
        number = self.lists[-1] if self.lists else None
        self.put("\n" + "  " * max(len(self.lists) - 1, 0) + ("- " if number is None else f"{number}. "))
        if number is not None:
            self.lists[-1] = number + 1

    def _absolute(self, href: str | None) -> str:
        """Empty for what leads nowhere: places in the page, scripts, mail."""
        if not href or href.startswith("#"):
            return ""
        try:
            target = urljoin(self.address, href.strip())
        except ValueError:
            return ""
        return target if target.startswith(("http://", "https://")) else ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self.in_title = False
        if self.silent:
            self.silent -= tag not in VOID
            return
        if tag in MARKS and not self.code:
            self.put(MARKS[tag])
        elif tag in BLOCKS or tag in HEADINGS or tag == "blockquote":
            self.put("\n\n")
        self._end_special(tag)
        if tag in ("main", "article") and self.main:
            self.main -= 1

    def _end_special(self, tag: str) -> None:
        match tag:
            case "pre" if self.code:
                self.code -= 1
                self.put("\n```\n\n")
            case "code" if not self.code:
                self.put("`")
            case "ul" | "ol" if self.lists:
                self.lists.pop()
            case "tr" if self.cells:
                self.put(" |")
            case "a" if self.links:
                address = self.links.pop()
                self.put(f"]({address})" if address else "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self.silent and tag not in SILENT:
            self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if self.in_title:
            self.title += data
        if not self.silent:
            self.put(data if self.code else re.sub(r"\s+", " ", data))


def _tidy(text: str) -> str:
    """Without what the page's layout left behind; code keeps its spaces."""
    pieces = text.split("```")
    for number in range(0, len(pieces), 2):
        lines = [re.sub(r"(?<=\S)[ \t]+", " ", line).rstrip() for line in pieces[number].split("\n")]
        lines = [line.strip() if not re.match(r" +(-|\d+\.) ", line) else line for line in lines]
        pieces[number] = re.sub(r"\n{3,}", "\n\n", re.sub(r"\[\s*\]\([^)]*\)|\*\*\s*\*\*", "", "\n".join(lines)))
    return "```".join(pieces).strip()


def _line(text: str) -> str:
    return " ".join(text.split())
