"""`/v1/usage` and `/v1/keys/:id/usage` (contract, section 9): sums of the ledger. Admin keys only."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Schema
from ninja.errors import HttpError
from pydantic import Field

from accounts.access import admin_key, key_of
from accounts.models import ApiKey
from billing import csv_files, described, standing, usage
from billing.models import Budget, LedgerEntry
from billing.usage import COUNTED, Span

router = Router(auth=admin_key, tags=["usage"])

LATEST = 253_402_300_799_999  # milliseconds: the end of the year 9999
MOST_EVENTS = 100
SUMS = (*COUNTED, "request_count")
CSV = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


class Asked(Schema):
    from_ms: int | None = Field(None, ge=0, le=LATEST, description="From this moment on.")
    to_ms: int | None = Field(None, ge=0, le=LATEST, description="Before this moment; now when missing.")
    format: Literal["json", "csv"] = "json"

    def span(self, since: dt.datetime) -> Span:
        """What is asked for, from `since` on unless it says otherwise."""
        span = Span(_moment(self.from_ms) if self.from_ms is not None else since, None if self.to_ms is None else _moment(self.to_ms))
        if span.until is not None and span.until < span.since:
            raise HttpError(400, "to_ms: it lies before from_ms.")
        return span


class Sums(Schema):
    cost_micros: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    request_count: int


class OfKey(Sums):
    key_id: str | None
    key_name: str | None
    key_prefix: str | None


class OfModel(Sums):
    model: str
    model_slug: str
    provider_slug: str


class Usage(Schema):
    from_ms: int
    to_ms: int
    total_cost_micros: int
    total_input_tokens: int
    total_output_tokens: int
    total_cache_read_tokens: int
    total_cache_write_tokens: int
    request_count: int
    by_key: list[OfKey]
    by_model: list[OfModel]


class Event(Schema):
    id: str
    kind: str
    key_id: str | None
    user_id: str
    end_user_id: str | None
    thread_id: str | None
    turn_id: str | None
    model: str
    model_slug: str
    provider_slug: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_micros: int
    estimated: bool
    latency_ms: int | None
    status: int
    created_at: int


class UsageOfKey(OfKey):
    from_ms: int
    to_ms: int
    total_cost_micros: int
    total_input_tokens: int
    total_output_tokens: int
    cap_micros: int | None
    max_spend_usd: float | None
    spent_micros: int
    reserved_micros: int
    by_model: list[OfModel]
    events: list[Event]


@router.get("/usage", response=Usage, summary="What the account spent, by key and by model", openapi_extra={"responses": CSV})
def of_account(request: HttpRequest, asked: Annotated[Asked, Query()]) -> dict[str, Any] | HttpResponse:
    """Since the first of this month (UTC) unless `from_ms` says otherwise. As CSV: one row for every key and model."""
    user = key_of(request).user
    span = asked.span(usage.this_month())
    calls = usage.calls_of(user, span)
    keys = {key.pk: key for key in ApiKey.objects.for_user(user)}
    if asked.format == "csv":
        rows = usage.grouped(calls, "key_id", "model", "provider")
        header = ("key_id", "key_name", "key_prefix", "model_slug", "provider_slug", *SUMS)
        return csv_files.file("usage", header, [[{**_key(row, keys), **_model(row)}[name] for name in header] for row in rows])
    sums = usage.total(calls)
    return {
        **_bounds(span),
        **{f"total_{name}": sums[name] for name in COUNTED},
        "request_count": sums["request_count"],
        "by_key": [_key(row, keys) for row in usage.grouped(calls, "key_id")],
        "by_model": [_model(row) for row in usage.grouped(calls, "model", "provider")],
    }


@router.get(
    "/keys/{uuid:key_id}/usage", response=UsageOfKey, summary="What one key spent, and its last calls", openapi_extra={"responses": CSV}
)
def of_key(request: HttpRequest, key_id: UUID, asked: Annotated[Asked, Query()]) -> dict[str, Any] | HttpResponse:
    """In the key's whole life unless `from_ms` says otherwise, like its cap. `events` has the last 100 calls, CSV all
    of them, up to 20,000."""
    key = get_object_or_404(ApiKey.objects.for_user(key_of(request).user), pk=key_id)
    span = asked.span(key.created_at)
    calls = usage.calls_of_key(key, span)
    if asked.format == "csv":
        header = tuple(Event.model_fields)
        lines = usage.lines_before(calls, "", csv_files.MOST_LINES + 1)
        if len(lines) > csv_files.MOST_LINES:
            raise HttpError(400, csv_files.TOO_MANY)
        return csv_files.file(f"usage-{key.pk}", header, ([event[name] for name in header] for event in _events(key, lines)))
    sums = usage.total(calls)
    budget = standing.standing_of(Budget.objects.for_key(key).get())
    return {
        **_bounds(span),
        **_key({**sums, "key_id": key.pk}, {key.pk: key}),
        **{f"total_{name}": sums[name] for name in ("cost_micros", "input_tokens", "output_tokens")},
        "cap_micros": budget.limit_micros,
        "max_spend_usd": None if budget.limit_micros is None else budget.limit_micros / 1_000_000,
        "spent_micros": budget.spent_micros,
        "reserved_micros": budget.reserved_micros,
        "by_model": [_model(row) for row in usage.grouped(calls, "model", "provider")],
        "events": _events(key, usage.lines_before(calls, "", MOST_EVENTS)),
    }


def _bounds(span: Span) -> dict[str, int]:
    return {"from_ms": _ms(span.since), "to_ms": _ms(span.until or timezone.now())}


def _key(row: dict[str, Any], keys: dict[UUID, ApiKey]) -> dict[str, Any]:
    """A row of sums by key; of a key that an operator erased only the id is left."""
    key = keys.get(row["key_id"])
    names = {"key_name": key.name if key else None, "key_prefix": key.prefix if key else None}
    return {"key_id": _text(row["key_id"]), **names, **{name: row[name] for name in SUMS}}


def _model(row: dict[str, Any]) -> dict[str, Any]:
    names = {"model": row["model"], "model_slug": row["model"], "provider_slug": row["provider"]}
    return {**names, **{name: row[name] for name in SUMS}}


def _events(key: ApiKey, lines: list[LedgerEntry]) -> list[dict[str, Any]]:
    turns = described.outcomes(key.user, [line.turn_id for line in lines if line.turn_id])
    return [_event(line, turns.get(line.turn_id) if line.turn_id else None) for line in lines]


def _event(line: LedgerEntry, outcome: described.Outcome | None) -> dict[str, Any]:
    """A line as the contract's ledger row. A side call, and a turn that is erased, has no latency; what was charged was answered."""
    return {
        "id": str(line.pk),
        "kind": line.kind,
        "key_id": _text(line.key_id),
        "user_id": str(line.user_id),
        "end_user_id": line.end_user_id,
        "thread_id": _text(line.thread_id),
        "turn_id": _text(line.turn_id),
        "model": line.model,
        "model_slug": line.model,
        "provider_slug": line.provider,
        **{name: getattr(line, name) for name in COUNTED},
        "estimated": line.estimated,
        "latency_ms": outcome.latency_ms if outcome else None,
        "status": outcome.status if outcome else 200,
        "created_at": _ms(line.created_at),
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _moment(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=ms)


def _ms(at: dt.datetime) -> int:
    return int(at.timestamp() * 1000)
