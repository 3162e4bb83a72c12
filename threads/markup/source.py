"""What happens to Markdown before the parser sees it, so that it means what its writer meant.

Raw HTML is text here: a model that writes about `<div>` means the letters, and nothing it writes becomes an element, except
`<br>` and a few closed pairs without attributes (`<sub>2</sub>`). TeX between `\\(…\\)`, `\\[…\\]` and lines of `$$` becomes the
one form the parser knows. Prices (`$5-$10`) stay prices. Every step is linear and skipped when its characters do not occur.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pyromark

OPTIONS = (
    pyromark.Options.ENABLE_TABLES
    | pyromark.Options.ENABLE_FOOTNOTES
    | pyromark.Options.ENABLE_STRIKETHROUGH
    | pyromark.Options.ENABLE_TASKLISTS
    | pyromark.Options.ENABLE_MATH
    | pyromark.Options.ENABLE_GFM
)
PARSER = pyromark.Markdown(options=OPTIONS)

Edit = tuple[int, int, bytes]  # replace the bytes from … to … by …

CLOSERS = {rb"\(": rb"\)", rb"\[": rb"\]", b"$$": b"$$"}
DELIMITER = re.compile(rb"\\[\\()\[\]]|\$\$|\n[ \t\r]*(?=\n)")
QUOTE_MARKS = re.compile(rb"(?:[ ]{0,3}>[ ]?)+")
TEX_COMMENT = re.compile(rb"(?<!\\)%[^\n]*")
PUNCTUATION = re.compile(rb"[!-/:-@\[-`{-~]")
PLAIN_TAG = re.compile(r"<(/?)(sub|sup|kbd|mark|u|b|i|em|strong|s|del|ins|small)>")
BREAK = re.compile(r"<br ?/?>")
MAYBE_MARKUP = re.compile(r"<[A-Za-z/!?]|\$")
INLINE = {"Emphasis", "Strong", "Strikethrough", "Link"}


def prepare(text: str) -> str:
    """The text as the parser should read it; the same blocks at the same places."""
    if _maybe_formulas(text):
        data = text.encode()
        text = _apply(text, [_formula(data, *found) for found in _formulas(data, _verbatim_spans(text))])
    if MAYBE_MARKUP.search(text):
        text = _apply(text, list(_literals(text)))
    return text


def flat(text: str) -> str:
    """The text with its formulas on one line each, every character at its place: the blocks as `prepare` will leave them."""
    if not _maybe_formulas(text):
        return text
    data = text.encode()
    found = _formulas(data, _verbatim_spans(text))
    return _apply(text, [(start, end, data[start:end].replace(b"\n", b" ")) for start, _, _, end in found])


def opens_formula(chunk: bytes) -> bool:
    """Whether a formula that begins in `chunk` is still to be closed."""
    opener = b""
    for token in DELIMITER.finditer(chunk):
        mark = token.group()
        if opener:
            opener = b"" if mark == CLOSERS[opener] or mark.isspace() else opener
        elif mark in CLOSERS:
            opener = mark
    return bool(opener)


def name_of(tag: Any) -> str:
    """`"Paragraph"` and `{"Heading": …}` name their tag in two ways."""
    return tag if isinstance(tag, str) else str(next(iter(tag)))


def _maybe_formulas(text: str) -> bool:
    return "\\(" in text or "\\[" in text or "$$" in text


def _apply(text: str, edits: list[Edit]) -> str:
    if not edits:
        return text
    data, position = text.encode(), 0
    pieces: list[bytes] = []
    for start, end, replacement in edits:
        pieces += (data[position:start], replacement)
        position = end
    return b"".join((*pieces, data[position:])).decode()


def _verbatim_spans(text: str) -> list[tuple[int, int]]:
    found = []
    for event, span in PARSER.events_with_range(text):
        if isinstance(event, dict) and ("Code" in event or name_of(event.get("Start", "-")) in ("CodeBlock", "HtmlBlock")):
            found.append((span["start"], span["end"]))
    return found


def _formulas(data: bytes, code: list[tuple[int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """Where formulas, their bodies, begin and end. None crosses a blank line or code: a stray delimiter harms one paragraph."""
    position = 0
    for start, end in (*code, (len(data), len(data))):
        opener: re.Match[bytes] | None = None
        for token in DELIMITER.finditer(data, position, start):
            mark = token.group()
            if opener is None:
                opener = token if mark in CLOSERS else None
            elif mark == CLOSERS[opener.group()]:
                if _is_formula(mark, data[opener.end() : token.start()]):
                    yield opener.start(), opener.end(), token.start(), token.end()
                opener = None
            elif mark.isspace():
                opener = None
        position = end


def _is_formula(closer: bytes, body: bytes) -> bool:
    """Whether it is for us to rewrite: the parser knows `$$` on one line, and cannot have `$` within `$`."""
    return bool(body.strip()) and (b"\n" in body if closer == b"$$" else b"$" not in body)


def _formula(data: bytes, start: int, body_start: int, body_end: int, end: int) -> Edit:
    mark, body = data[start:body_start], data[body_start:body_end]
    # On one line no `+` or `=` can start a list or underline a heading.
    line = data.rfind(b"\n", 0, start) + 1
    quoted = QUOTE_MARKS.match(data, line, start) is not None
    lines = TEX_COMMENT.sub(b"", body).split(b"\n")
    body = b" ".join((QUOTE_MARKS.sub(b"", part, count=1) if quoted and index else part).strip() for index, part in enumerate(lines))
    fence = b"$" if mark == rb"\(" else b"$$"
    return start, end, fence + body.strip() + fence


def _literals(text: str) -> Iterator[Edit]:
    """Edits that make raw HTML, and dollars that are money, plain text."""
    data = text.encode()
    edits: list[Edit] = []
    tags: list[tuple[str, int, int]] = []
    lines: list[tuple[int, int]] = []
    for event, span in PARSER.events_with_range(text):
        if isinstance(event, str):
            continue
        start, end = span["start"], span["end"]
        ((kind, value),) = event.items()
        if kind == "InlineHtml":
            edits += _inline(data, str(value), start, end, tags)
        elif kind == "Html":
            lines.append((start, end))
        elif kind == "InlineMath" and data[end : end + 1].isdigit():
            edits.append(_escaped(data, start, end))
        elif kind in ("Start", "End") and name_of(value) not in INLINE:
            edits += (_escaped(data, start, end) for _, start, end in tags)
            tags.clear()
            if lines and name_of(value) == "HtmlBlock":
                edits += _block(data, lines)
                lines = []
    return iter(sorted(edits))


def _inline(data: bytes, raw: str, start: int, end: int, tags: list[tuple[str, int, int]]) -> Iterator[Edit]:
    """A pair that closes where it should may stay; what is left in `tags` at the end of the paragraph never closed."""
    if BREAK.fullmatch(raw):
        return
    match = PLAIN_TAG.fullmatch(raw)
    if match and not match[1]:
        tags.append((match[2], start, end))
    elif match and tags and tags[-1][0] == match[2]:
        tags.pop()
    else:
        yield _escaped(data, start, end)


def _block(data: bytes, lines: list[tuple[int, int]]) -> Iterator[Edit]:
    """A block of HTML stays one block, of preformatted text: `<pre>` is the kind that no blank line ends."""
    last = max(index for index, (start, end) in enumerate(lines) if data[start:end].strip())  # a blank line may be outside its list
    for index, (start, end) in enumerate(lines):
        _, _, escaped = _escaped(data, start, end)
        if index == 0:
            escaped = b"<pre>" + escaped
        if index == last:
            body = escaped.rstrip(b"\r\n")
            escaped = body + b"</pre>" + escaped[len(body) :]
        yield start, end, escaped


def _escaped(data: bytes, start: int, end: int) -> Edit:
    """Every punctuation mark as an entity: entities are never markup."""
    return start, end, PUNCTUATION.sub(lambda mark: b"&#%d;" % mark[0][0], data[start:end])
