"""What the usage page and its export show: the ledger's lines with the names of chats, models and keys."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts.models import ApiKey
from billing import described, standing, usage
from billing.models import LedgerEntry

if TYPE_CHECKING:
    from accounts.models import User
    from billing.described import Chat
    from billing.standing import Standing
    from billing.usage import Span

PAGE = 50  # lines
MOST = 20  # chats, keys
GONE = "Deleted chat"
HEADER = (
    "time", "kind", "model", "provider", "chat", "thread_id", "key", "key_id", "end_user_id",
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "estimated", "cost_micros", "amount_micros",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One line as a template needs it."""

    at: dt.datetime  # in the reader's time zone
    what: str
    title: str
    url: str
    read: int
    output_tokens: int
    amount_micros: int  # as a person reads it: always positive
    sign: str  # "+" raised the limit, "-" lowered it, "" was spent
    estimated: bool


@dataclass(frozen=True, slots=True)
class Lines:
    rows: list[Line]
    next_cursor: str  # empty at the end


@dataclass(frozen=True, slots=True)
class Sum:
    """A row of a table of sums."""

    name: str
    url: str
    requests: int
    read: int
    output_tokens: int
    cost_micros: int
    standing: Standing | None = None


def figures(user: User, span: Span, zone: dt.tzinfo) -> dict[str, Any]:
    calls = usage.calls_of(user, span)
    names = described.model_names()
    chats = usage.grouped(calls, "thread_id", most=MOST + 1)
    keys = usage.grouped(calls, "key_id", most=MOST + 1)
    return {
        "totals": _sum("", "", usage.total(calls)),
        "chart": usage.by_day(calls, span, zone, names),
        "models": [_sum(names.get(row["model"], row["model"]), "", row) for row in usage.grouped(calls, "model")],
        "chats": _by_chat(user, chats[:MOST]),
        "more_chats": len(chats) > MOST,
        "keys": _by_key(user, keys[:MOST]),
        "more_keys": len(keys) > MOST,
    }


def _sum(name: str, url: str, row: dict[str, Any], standing: Standing | None = None) -> Sum:
    read = row["input_tokens"] + row["cache_read_tokens"] + row["cache_write_tokens"]
    return Sum(name, url, row["request_count"], read, row["output_tokens"], row["cost_micros"], standing)


def _by_chat(user: User, sums: list[dict[str, Any]]) -> list[Sum]:
    chats = described.chats(user, [row["thread_id"] for row in sums if row["thread_id"]])
    return [_sum(*_chat(row["thread_id"], chats), row) for row in sums]


def _chat(thread_id: UUID | None, chats: dict[UUID, Chat]) -> tuple[str, str]:
    if thread_id is None:
        return "Outside of chats", ""
    found = chats.get(thread_id)
    return (found.title, found.url) if found else (GONE, "")


def _by_key(user: User, sums: list[dict[str, Any]]) -> list[Sum]:
    keys = _keys(user, [row["key_id"] for row in sums if row["key_id"]])
    stands = standing.of_keys(keys.values())
    return [_sum(_key_name(row["key_id"], keys), "", row, stands.get(row["key_id"])) for row in sums]


def _keys(user: User, ids: Collection[UUID]) -> dict[UUID, ApiKey]:
    return ApiKey.objects.for_user(user).in_bulk(list(ids))


def _key_name(key_id: UUID | None, keys: dict[UUID, ApiKey]) -> str:
    key = keys.get(key_id) if key_id else None
    return f"{key.name} ({key.prefix})" if key else "Without a key"


def page_of_lines(user: User, span: Span, cursor: str, zone: dt.tzinfo) -> Lines:
    """Newest first, PAGE at a time. Raises BadCursor."""
    found = usage.lines_before(LedgerEntry.objects.for_user(user).filter(span.where), cursor, PAGE + 1)
    shown, names = found[:PAGE], described.model_names()
    chats = described.chats(user, {line.thread_id for line in shown if line.thread_id})
    lines = [_line(line, *(_chat(line.thread_id, chats) if line.thread_id else ("", "")), names, zone) for line in shown]
    return Lines(lines, usage.cursor_of(shown[-1]) if len(found) > PAGE else "")


def _line(line: LedgerEntry, title: str, url: str, names: dict[str, str], zone: dt.tzinfo) -> Line:
    return Line(
        at=line.created_at.astimezone(zone),
        what=_what(line, names),
        title=title or line.reason,
        url=url,
        read=line.input_tokens + line.cache_read_tokens + line.cache_write_tokens,
        output_tokens=line.output_tokens,
        amount_micros=line.cost_micros or abs(line.amount_micros),
        sign="" if line.kind in usage.CALLS else "-" if line.amount_micros < 0 else "+",
        estimated=line.estimated,
    )


def _what(line: LedgerEntry, names: dict[str, str]) -> str:
    """The model for an answer, what it was for with anything else."""
    model = names.get(line.model, line.model)
    return model if line.kind == LedgerEntry.Kind.TURN and model else " · ".join(filter(None, (str(line.get_kind_display()), model)))


def rows(user: User, lines: list[LedgerEntry]) -> list[list[Any]]:
    """Lines of the export, as HEADER names their cells."""
    chats = described.chats(user, {line.thread_id for line in lines if line.thread_id})
    keys = _keys(user, {line.key_id for line in lines if line.key_id})
    return [_row(line, chats, keys) for line in lines]


def _row(line: LedgerEntry, chats: dict[UUID, Chat], keys: dict[UUID, ApiKey]) -> list[Any]:
    extra = {
        "time": line.created_at.isoformat(),
        "chat": _chat(line.thread_id, chats)[0] if line.thread_id else "",
        "key": _key_name(line.key_id, keys) if line.key_id else "",
    }
    return [extra[name] if name in extra else getattr(line, name) for name in HEADER]
