"""Markdown to safe HTML, the same way live and in history. The only `mark_safe` of the project is here.

The order is: make raw HTML literal (markup/source.py), parse, sanitise against a short list, dress for the page
(markup/dress.py). The sanitiser is the guard; what comes before it decides only how things look.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable, Iterable
from html import escape as escape_html

import nh3
from django.utils.safestring import SafeString, mark_safe

from threads.blocks import clean_text
from threads.markup.blocks import closed_prefix, open_fence
from threads.markup.dress import dress, figure
from threads.markup.source import PARSER, prepare

__all__ = ["closed_prefix", "escape", "join", "open_fence", "open_fence_html", "render", "render_plain"]

logger = logging.getLogger(__name__)

MAX_CHARS = 500_000  # longer than any model answers; more is shown as written
MAX_PARTS = 60_000  # of these characters, then of tags; a long answer has a few thousand
MAX_DEPTH = 100  # elements inside each other; the sanitiser's cost grows with its square
TOO_MUCH = "Shown as written, because it is too long or too deep to format"
STUB = '<p class="broken" role="note">This message could not be displayed. Its text is kept; copying it still works.</p>'

CLASSES = {
    "code": re.compile(r"language-[^\s\"<>&]{1,60}"),
    "span": re.compile(r"math math-(?:inline|display)"),
    "sup": re.compile(r"footnote-(?:reference|definition-label)"),
    "div": re.compile(r"footnote-definition"),
    "blockquote": re.compile(r"markdown-alert-(?:note|tip|important|warning|caution)"),
}
# A message of this site, as search_conversations cites it: the one address of our own that a text may lead to.
MESSAGE = r"/c/[0-9a-f-]{36}\?at=[0-9]{1,10}#m-[0-9a-f-]{36}"
VALUES = {
    "href": re.compile(rf"https?://[^\s/\\?#][^\s]*|mailto:[^\s]+|#fn-[^\s]+|{MESSAGE}", re.I),
    "src": re.compile(r"https?://[^\s/\\?#][^\s]*", re.I),
    "id": re.compile(r"fn-[^\s]+"),
    "align": re.compile(r"left|center|right"),
    "start": re.compile(r"[0-9]{1,9}"),
    "type": re.compile(r"checkbox"),
}
TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "em", "strong", "del", "s", "sub", "sup", "kbd", "mark", "u", "b", "i", "ins"),
    *(
        "small",
        "blockquote",
        "ul",
        "ol",
        "li",
        "pre",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "a",
        "img",
        "input",
        "div",
        "span",
    ),
}
ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title"},
    "input": {"type", "checked", "disabled"},
    "ol": {"start"},
    "th": {"align"},
    "td": {"align"},
    "div": {"class", "id"},
    **{tag: {"class"} for tag in ("code", "span", "sup", "blockquote")},
}
NESTING = re.compile(r"<(/?)(?:blockquote|ul|ol|em|strong|del)\b")
ALIGNED = re.compile(r'<(t[hd]) style="text-align: (left|center|right)">')
FOOTNOTE = re.compile(r'(<sup class="footnote-reference"><a href="#|<div class="footnote-definition" id=")')


def render(text: str) -> SafeString:
    """A whole message, or a part that `closed_prefix` cut. Never raises; what cannot be shown becomes a visible note."""
    return _guarded(_render, text)


def render_plain(text: str) -> SafeString:
    """A person's own message: exactly what they typed, line breaks and spaces included, nothing formatted or linked."""
    return _guarded(lambda text: f'<div class="plain">{escape_html(text)}</div>', text)


def escape(text: str) -> SafeString:
    """Text for the inside of an element, such as what is appended to an open code block."""
    return mark_safe(escape_html(clean_text(text)))  # noqa: S308  escaped in this line


def open_fence_html(language: str, code: str, element_id: str) -> SafeString:
    """The figure of a code block that still grows: its `<code>` has the id, so that escaped text can be appended to it."""
    return mark_safe(figure(language, escape_html(clean_text(code)), element_id))  # noqa: S308  escaped in this line


def join(pieces: Iterable[SafeString]) -> SafeString:
    """Safe pieces one after the other."""
    return mark_safe("".join(pieces))  # noqa: S308  each piece is safe by its type


def _guarded(work: Callable[[str], str], text: str) -> SafeString:
    try:
        html = work(clean_text(text))
    except Exception as error:  # one broken message must not take the page with it
        logger.error("a message of %d characters could not be rendered: %s", len(text), type(error).__name__)
        html = STUB
    return mark_safe(html)  # noqa: S308  sanitised or escaped above


def _render(text: str) -> str:
    if len(text) > MAX_CHARS or sum(map(text.count, "<&\\$")) > MAX_PARTS:
        return _as_written(text)
    html = PARSER.html(prepare(text.replace("\r\n", "\n").replace("\r", "\n")))
    if html.count("<") + html.count("&") > MAX_PARTS or _too_deep(html):
        return _as_written(text)
    html = ALIGNED.sub(r'<\1 align="\2">', html)
    if "footnote-" in html:
        # Several messages share a page, so the names of their footnotes carry a mark of the text.
        html = FOOTNOTE.sub(rf"\g<1>fn-{zlib.crc32(text.encode()):x}-", html)
    return dress(CLEANER.clean(html))


def _as_written(text: str) -> str:
    return figure(TOO_MUCH, escape_html(text))


def _too_deep(html: str) -> bool:
    depth = deepest = 0
    if sum(html.count(tag) for tag in ("<blockquote", "<ul", "<ol", "<em", "<strong", "<del")) <= MAX_DEPTH:
        return False
    for match in NESTING.finditer(html):
        depth += -1 if match[1] else 1
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH


def _attribute(tag: str, name: str, value: str) -> str | None:
    pattern = CLASSES[tag] if name == "class" else VALUES.get(name)
    return value if pattern is None or pattern.fullmatch(value) else None


CLEANER = nh3.Cleaner(
    tags=TAGS,
    clean_content_tags=set(),
    attributes=ATTRIBUTES,
    attribute_filter=_attribute,
    url_schemes={"http", "https", "mailto"},
    url_relative="pass_through",  # `_attribute` lets through only #fn-… and messages
    link_rel="noopener noreferrer nofollow",
)
