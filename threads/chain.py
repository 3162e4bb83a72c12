"""The chain over the finished calls of a turn: each is bound to the one before by a MAC, so that a row which was changed, moved or
taken out later can be named.

The key is not in the database (it follows from FIELD_ENCRYPTION_KEYS): who can only write there cannot make the chain true again.
Times are not part of it, the database sets them; neither is what the page alone keeps (`blocks`).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import connection

from chatai.lib import crypto
from threads.models import ToolCall

PURPOSE = "chain of tool calls"
START = b""
# Of every finished call, as they are stored.
COLUMNS = (
    "id",
    "turn_id",
    "parent_id",
    "tool_use_id",
    "name",
    "kind",
    "source",
    "version",
    "iteration",
    "position",
    "arguments",
    "verdict",
    "verdict_by",
    "status",
    "result",
    "is_error",
    "error_kind",
    "credential",
    "http_status",
    "output_bytes",
    "cut",
    "cost_micros",
    "attempts",
)


def link(previous: bytes, row: Mapping[str, Any]) -> bytes:
    """What a call adds to the chain after `previous` (START for the first of its turn). `row` has all of COLUMNS; 32 bytes."""
    return _links(previous, row)[0]


def _links(previous: bytes, row: Mapping[str, Any]) -> list[bytes]:
    told = {name: _plain(row[name]) for name in COLUMNS}
    return crypto.tags(previous + json.dumps(told, sort_keys=True, separators=(",", ":")).encode(), PURPOSE)


def _plain(value: Any) -> Any:
    """The same for a value before it is stored as JSON and after: PostgreSQL gives 1e23 back as a whole number, and keys sorted."""
    match value:
        case bool() | int() | str() | None:
            return value
        case float() if value.is_integer():
            return int(Decimal(repr(value)))
        case float():
            return value
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
    return str(value)  # ids


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was written."""

    turn_id: UUID
    call_id: UUID | None
    problem: str

    def __str__(self) -> str:
        return f"turn {self.turn_id}, call {self.call_id}: {self.problem}" if self.call_id else f"turn {self.turn_id}: {self.problem}"


def check(turn_ids: Iterable[UUID] | None = None) -> Iterator[Finding]:
    """Reads the chains (of these turns, or of all) and names what does not fit. One query; memory for one turn at a time."""
    calls = ToolCall.objects.exclude(chain_number=None, finished_at=None).order_by("turn_id", "chain_number", "id")
    turn_ids = None if turn_ids is None else list(turn_ids)
    if turn_ids is not None:
        calls = calls.filter(turn_id__in=turn_ids)
    rows = calls.values(*COLUMNS, "chain_number", "chain_hash").iterator(chunk_size=500)
    for turn_id, of_turn in groupby(rows, key=lambda row: row["turn_id"]):
        yield from _check_turn(turn_id, list(of_turn))
    yield from _unrecorded(turn_ids)


# The last calls of a turn can be taken out without leaving a gap; what the model was told of them stands in the history.
UNRECORDED = """
SELECT m.turn_id, block ->> 'tool_use_id' FROM threads_turn t
JOIN threads_message m ON m.turn_id = t.id AND m.role = 'user'
CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(m.content) = 'array' THEN m.content ELSE '[]' END) block
WHERE t.iterations > 1 AND t.copied_from IS NULL AND (%(turns)s::uuid[] IS NULL OR t.id = ANY(%(turns)s::uuid[]))
AND block ->> 'type' = 'tool_result' AND NOT EXISTS (
    SELECT 1 FROM threads_toolcall c
    WHERE c.turn_id = t.id AND c.tool_use_id = block ->> 'tool_use_id' AND c.finished_at IS NOT NULL
) ORDER BY 1, 2
"""


def _unrecorded(turn_ids: list[UUID] | None) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(UNRECORDED, {"turns": None if turn_ids is None else turn_ids})
        for turn_id, tool_use_id in cursor.fetchall():
            yield Finding(turn_id, None, f"the history has the result of {tool_use_id}, and there is no finished call of it")


def _check_turn(turn_id: UUID, rows: list[dict[str, Any]]) -> Iterator[Finding]:
    previous: bytes | None = START
    expected, broken = 0, []
    for row in rows:
        number, kept = row["chain_number"], bytes(row["chain_hash"] or b"")
        if number is None or not kept:
            yield Finding(turn_id, row["id"], "finished, and not in the chain")
            continue
        if number > expected:
            yield Finding(turn_id, None, f"{_missing(expected, number)} gone, before call {row['id']}")
            previous = None
        elif number < expected:
            yield Finding(turn_id, row["id"], f"its place in the chain, {number}, is taken twice")
        # After a gap nobody knows what the next one stands on: only the ones behind it can be checked again.
        if previous is not None and not any(hmac.compare_digest(kept, made) for made in _links(previous, row)):
            broken.append(Finding(turn_id, row["id"], "changed since it was written"))
        previous, expected = kept, number + 1
    if len(broken) == len(rows) > 0:
        yield Finding(
            turn_id, None, "none of its calls fits: all were changed, or the key of that time is no longer in FIELD_ENCRYPTION_KEYS"
        )
    yield from broken


def _missing(first: int, end: int) -> str:
    return f"call number {first} is" if end - first == 1 else f"calls number {first} to {end - 1} are"
