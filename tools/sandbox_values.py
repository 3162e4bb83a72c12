"""The value that code ended with, as text. It came out of a sandbox: it may be as deep, as wide or as shared as somebody wanted it
to be, so what is written is bounded, and so is the work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

MOST_CHARS = 16_000
MOST_DEEP = 12
PAIRS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}"), frozenset: ("{", "}")}


class _Full(Exception):  # noqa: N818 - it is an end, not a fault
    pass


def told(value: Any) -> str:
    """As `repr` would write it, up to MOST_CHARS characters and MOST_DEEP levels."""
    pieces: list[str] = []
    room = MOST_CHARS

    def put(text: str) -> None:
        nonlocal room
        pieces.append(text[:room])
        room -= len(text)
        if room <= 0:
            raise _Full

    try:
        _write(value, put, MOST_DEEP)
    except _Full:
        pieces.append("… (cut)")
    return "".join(pieces)


def _write(value: Any, put: Callable[[str], None], deeper: int) -> None:
    if isinstance(value, Mapping) or type(value) in PAIRS:
        if not deeper:
            return put("…")
        if isinstance(value, Mapping):
            _write_pairs(value, put, deeper - 1)
        else:
            opening, closing = PAIRS[type(value)]
            put(opening)
            _write_all(value, put, deeper - 1)
            put(",)" if isinstance(value, tuple) and len(value) == 1 else closing)
    else:
        put(_plain(value))
    return None


def _write_pairs(value: Mapping[Any, Any], put: Callable[[str], None], deeper: int) -> None:
    put("{")
    for number, (key, inner) in enumerate(value.items()):
        put(", " if number else "")
        _write(key, put, deeper)
        put(": ")
        _write(inner, put, deeper)
    put("}")


def _write_all(values: Iterable[Any], put: Callable[[str], None], deeper: int) -> None:
    for number, inner in enumerate(values):
        put(", " if number else "")
        _write(inner, put, deeper)


def _plain(value: Any) -> str:
    match value:
        case str() | bytes():
            return repr(value[: MOST_CHARS + 1])
        case int() if value.bit_length() > 14_000:  # Python refuses to write those out
            return f"<a whole number of {value.bit_length():,} bits>"
        case None | bool() | int() | float() | complex():
            return repr(value)
        case _ if type(value).__module__ in ("datetime", "decimal", "fractions", "uuid", "pathlib"):
            return repr(value)[:MOST_CHARS]
    return f"<{getattr(value, 'name', type(value).__name__)}>"
