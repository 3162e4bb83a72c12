"""Cutting a message into passages of about 200 tokens: on paragraph borders, with some overlap, code and tables whole where they fit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Tokens as `tokens` counts them. all-MiniLM-L6-v2 reads 256 and drops what is behind them.
TARGET = 200
MOST = 240  # of code or a table that is kept whole
OVERLAP = 40

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
PIECE = re.compile(r"[^\W_]+|[^\w\s]|_")
FENCE = re.compile(r"^[ ]{0,3}(`{3,}|~{3,})", re.MULTILINE)
TABLE = re.compile(r"(?:^[ ]{0,3}\|.*(?:\n|\Z)){2,}", re.MULTILINE)
PARAGRAPH = re.compile(r"\S(?:.|\n(?!\s*\n))*")
SENTENCE = re.compile(r"\S.*?(?:[.!?…](?=\s)|[。！？]|\n|\Z)", re.DOTALL)
LINE = re.compile(r"[^\n]+")


@dataclass(frozen=True, slots=True)
class Atom:
    """A piece that is not cut."""

    start: int
    stop: int
    tokens: int
    opens: bool  # a paragraph
    prose: bool = True


def passages(text: str) -> list[str]:
    """The passages of a message, in its order; together they hold all of its words. Without control characters."""
    clean = CONTROL.sub(" ", text)
    atoms = list(_atoms(clean))
    return [clean[atoms[begin].start : atoms[end - 1].stop] for begin, end in _ranges(atoms)]


def tokens(text: str) -> int:
    """About as many as a word piece tokenizer makes: a long word has several, every sign is one."""
    return sum(1 + (len(piece) - 1) // 6 if piece.isascii() else (len(piece) * 2 + 2) // 3 for piece in PIECE.findall(text))


def _ranges(atoms: list[Atom]) -> Iterator[tuple[int, int]]:
    """(first, behind the last) atom of each passage."""
    begin = fresh = 0  # from `fresh` on, nothing was in a passage yet
    while fresh < len(atoms):
        end = _end(atoms, begin, fresh)
        yield begin, end
        begin = fresh = end
        room = min(OVERLAP, MOST - atoms[fresh].tokens) if fresh < len(atoms) else 0
        while begin > 0 and atoms[begin - 1].prose and (room := room - atoms[begin - 1].tokens) >= 0:
            begin -= 1


def _end(atoms: list[Atom], begin: int, fresh: int) -> int:
    """Where a passage ends that begins there and has at least one new atom: full, at the last paragraph border of its second half."""
    size, end, border = 0, begin, 0
    while end < len(atoms):
        size += atoms[end].tokens
        if end > fresh and size > TARGET:
            return border or end
        end += 1
        if end < len(atoms) and end > fresh and atoms[end].opens and size >= TARGET // 2:
            border = end
    return end


def _atoms(text: str) -> Iterator[Atom]:
    at = 0
    for start, stop in _solid(text):
        yield from _prose(text, at, start)
        size = tokens(text[start:stop])
        if size <= MOST:
            yield Atom(start, stop, size, opens=True, prose=False)
        else:
            yield from _cut(text, start, stop, LINE, prose=False)
        at = stop
    yield from _prose(text, at, len(text))


def _solid(text: str) -> Iterator[tuple[int, int]]:
    """Where code and tables are."""
    at = 0
    while fence := FENCE.search(text, at):
        yield from ((table.start(), table.end()) for table in TABLE.finditer(text, at, fence.start()))
        closing = re.compile(rf"^[ ]{{0,3}}{re.escape(fence[1])}[^\n]*$", re.MULTILINE).search(text, fence.end())
        at = closing.end() if closing else len(text)
        yield fence.start(), at
    yield from ((table.start(), table.end()) for table in TABLE.finditer(text, at))


def _prose(text: str, start: int, stop: int) -> Iterator[Atom]:
    for paragraph in PARAGRAPH.finditer(text, start, stop):
        yield from _cut(text, paragraph.start(), paragraph.end(), SENTENCE, prose=True)


def _cut(text: str, start: int, stop: int, unit: re.Pattern[str], prose: bool) -> Iterator[Atom]:
    """A paragraph by its sentences, code by its lines; one that is too long itself, by words."""
    opens = True
    for found in unit.finditer(text, start, stop):
        for begin, end, size in _fitting(text, found.start(), found.end()):
            yield Atom(begin, end, size, opens, prose)
            opens = False


def _fitting(text: str, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """(start, stop, tokens) of pieces that are not too long; words are cut only where one alone is."""
    size = tokens(text[start:stop])
    if size <= TARGET:
        if size:
            yield start, stop, size
        return
    middle = (start + stop) // 2
    space = text.rfind(" ", start + 1, middle)
    cut = space if space > start + (stop - start) // 4 else middle
    yield from _fitting(text, start, cut)
    yield from _fitting(text, cut, stop)
