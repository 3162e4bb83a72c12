"""The part of a passage that is shown with a hit: about 240 characters around what matched."""

from __future__ import annotations

import re

MARK, UNMARK = "\x02", "\x03"  # around what matched; passages have no control characters (see chunks.py)
LENGTH = 240  # characters
LEAD = 60  # characters kept before the first match
NEAREST = 30  # characters within which a border of words is looked for


def around(marked: tuple[str, str]) -> tuple[str, list[tuple[int, int]]]:
    """(snippet, marks in it) of a passage and its folded form, which is as long but for the signs around what matched."""
    text, folded = marked
    marks = places(folded)
    begin, end = window(text, marks)
    lead, tail = "…" if begin else "", "…" if end < len(text) else ""
    snippet = lead + text[begin:end].replace("\n", " ").replace("\t", " ") + tail
    shift = len(lead) - begin
    return snippet, [(max(start, begin) + shift, min(stop, end) + shift) for start, stop in marks if start < end and stop > begin]


def places(folded: str) -> list[tuple[int, int]]:
    """Where the marks are in the text without them."""
    found, at, start = [], 0, 0
    for part in re.split(f"([{MARK}{UNMARK}])", folded):
        if part == MARK:
            start = at
        elif part == UNMARK:
            found.append((start, at))
        else:
            at += len(part)
    return found


def window(text: str, marks: list[tuple[int, int]]) -> tuple[int, int]:
    """The piece of about LENGTH characters that shows most of the marks, cut between words."""
    if len(text) <= LENGTH:
        return 0, len(text)
    begins = {max(0, min(start - LEAD, len(text) - LENGTH)) for start, _ in marks} or {0}
    begin = max(sorted(begins), key=lambda at: sum(at <= start and stop <= at + LENGTH for start, stop in marks))
    end = begin + LENGTH
    if begin and (space := text.find(" ", begin, begin + NEAREST)) >= 0:
        begin = space + 1
    if end < len(text) and (space := text.rfind(" ", end - NEAREST, end)) >= 0:
        end = space
    return begin, end
