"""Bodies as they come in: JSON whatever their label says, within limits, with nothing in it that cannot be stored."""

from __future__ import annotations

import re
from typing import Any

import msgspec

DEEPEST = 100  # levels; PostgreSQL and the serialisers downstream take a few more
# Every escape sequence, so that an escaped backslash before a `u` is not mistaken for one; `bad` are NUL and lone surrogates.
ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<bad>u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class BadBody(Exception):  # noqa: N818 - it is an answer, not a fault
    """400, with a sentence."""


def read_json(body: bytes) -> Any:
    """The value in `body`, an empty object when there is none. NUL and lone surrogates become U+FFFD. Raises BadBody."""
    if not body.strip():
        return {}
    if SUSPECT.search(body):
        body = ESCAPE.sub(lambda found: rb"\ufffd" if found["bad"] else found[0], body)
    try:
        value = msgspec.json.decode(body)
    except RecursionError as error:
        raise BadBody(f"The body is nested more than {DEEPEST} levels deep.") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadBody(f"The body is not valid JSON: {error}") from error
    if body.count(b"[") + body.count(b"{") > DEEPEST and _deeper(value, DEEPEST):
        raise BadBody(f"The body is nested more than {DEEPEST} levels deep.")
    return value


def _deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
