"""Where a growing Markdown text is finished: the part that no further token can change."""

from __future__ import annotations

import re

from threads.markup.source import PARSER, flat, name_of, opens_formula

LONE_RETURN = re.compile(r"\r(?!\n)")
NUMBER = re.compile(rb"[ ]{0,3}[0-9]{1,9}$")
FENCE = re.compile(r"(?:[ \t]*\n)*(`{3,}(?=[^`\n]*\n)|~{3,})[ \t]*([^\r\n]*)\r?\n")


def closed_prefix(text: str) -> int:
    """Length of the part of `text` (in characters) whose blocks are closed: everything before the last block.

    Whatever follows, rendering that part and the rest apart gives what rendering the whole gives, except for footnotes and
    reference-style links, whose two ends may fall into different parts. The cost is one parse of `text`, so callers pass only
    what is not closed yet.
    """
    if "\n" not in text or LONE_RETURN.search(text):
        return 0
    data = text.encode()
    for start, kind in reversed(_block_starts(flat(text))[1:]):
        cut = data.rfind(b"\n", 0, start) + 1
        if _is_final(data, cut, kind):
            return cut if text.isascii() else len(data[:cut].decode())
    return 0


def open_fence(text: str) -> tuple[str, int] | None:
    """(info string, offset of the first character of the code) when `text` is one fenced code block that is not closed."""
    match = FENCE.match(text)
    if match is None:
        return None
    fence = match[1]
    closing = re.compile(rf"^ {{0,3}}{fence[0]}{{{len(fence)},}}[ \t\r]*$", re.M)
    return None if closing.search(text, match.end()) else (match[2].strip(), match.end())


def _block_starts(text: str) -> list[tuple[int, str]]:
    """(byte offset, kind) of the top-level blocks."""
    starts: list[tuple[int, str]] = []
    depth = 0
    for event, span in PARSER.events_with_range(text):
        if isinstance(event, str):
            if event == "Rule" and depth == 0:
                starts.append((span["start"], event))
        elif "Start" in event:
            if depth == 0:
                starts.append((span["start"], name_of(event["Start"])))
            depth += 1
        elif "End" in event:
            depth -= 1
    return starts


def _is_final(data: bytes, cut: int, kind: str) -> bool:
    """Whether the block whose first line starts at `cut` is sure to be a block of its own, however its lines go on."""
    line_end = data.find(b"\n", cut)
    line_before = data[data.rfind(b"\n", 0, cut - 1) + 1 : cut]
    if not line_before.strip():
        # After a blank line only a list can go on, and of its markers only a number is something else before its dot.
        return line_end != -1 or NUMBER.match(data, cut) is None
    # Without one, "#", "***" or "```x" may still turn out to be words of the paragraph before, `+ b` a line of a formula,
    # and a row above "|--" the head of no table.
    if line_end == -1 or (kind == "Table" and data.find(b"\n", line_end + 1) == -1):
        return False
    return not opens_formula(data[data.rfind(b"\n\n", 0, cut) + 1 : cut])
