"""Colours for code, as class names only; the palette is in static/css/code.css."""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from time import perf_counter

from pygments.lexer import Lexer
from pygments.lexers import get_all_lexers, get_lexer_by_name
from pygments.token import STANDARD_TYPES, _TokenType

MAX_CHARS = 20_000  # per block; longer code is shown without colours
MAX_LINE = 1_000  # characters; lexers that go back and forth do so within a line, and minified code needs no colours
MAX_SECONDS = 0.5  # per block; some lexers are slow on text made for it
KEPT = 256  # finished blocks in memory, at most about 25 MB and in practice under 1 MB

LANGUAGE = re.compile(r"\{?\.?([\w+#.\-]{1,40})")


def language_of(info: str) -> str:
    """The language a fence names: `py`, `{python}`, `python:app.py` and `js {1,3}` are how people write it."""
    match = LANGUAGE.match(info.strip())
    return match[1].lower() if match else ""


def label_of(language: str) -> str:
    """What the header of a code block says."""
    return _names().get(language) or language or "text"


@lru_cache(maxsize=KEPT)
def highlight(language: str, code: str) -> str | None:
    """`code` as HTML with a span per token; None when the language is unknown, or it would take too long."""
    if language not in _names() or len(code) > MAX_CHARS or max(map(len, code.split("\n"))) > MAX_LINE:
        return None
    deadline = perf_counter() + MAX_SECONDS
    pieces: list[str] = []
    kind, text = "", ""
    for token, value in _lexer(language).get_tokens(code):
        if perf_counter() > deadline:
            return None
        found = _class_of(token)
        if found == kind:
            text += value
            continue
        pieces.append(_span(kind, text))
        kind, text = found, value
    pieces.append(_span(kind, text))
    return "".join(pieces)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """The name of every language by its alias. Asking Pygments for one that it does not know takes 0.2 ms each time."""
    return {alias: name for name, aliases, _, _ in get_all_lexers(plugins=False) for alias in aliases}


@lru_cache(maxsize=128)
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language, stripnl=False, ensurenl=False)


@lru_cache(maxsize=1024)
def _class_of(token: _TokenType) -> str:
    known: _TokenType | None = token
    while known is not None and known not in STANDARD_TYPES:
        known = known.parent
    return STANDARD_TYPES[known] if known is not None else ""


def _span(kind: str, text: str) -> str:
    escaped = escape(text, quote=False)
    return f'<span class="{kind}">{escaped}</span>' if kind and kind != "w" else escaped
