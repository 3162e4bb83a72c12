"""What was spent: questions to the ledger, the only place where it is written. Sums are PostgreSQL's, in integer micro-dollars."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from billing.models import LedgerEntry, LedgerQuerySet

if TYPE_CHECKING:
    from accounts.models import ApiKey, User

Kind = LedgerEntry.Kind
CALLS = (Kind.TURN, Kind.TITLE, Kind.SUMMARY, Kind.EMBEDDING, Kind.TOOL)  # the rest moves the limit
COUNTED = ("cost_micros", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
SHOWN_MODELS = 5  # in the chart; what others cost is one more series


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` on and before `until`; without `until` up to the newest line, whoever's clock wrote it."""

    since: dt.datetime
    until: dt.datetime | None = None

    @property
    def where(self) -> Q:
        return Q(created_at__gte=self.since) if self.until is None else Q(created_at__gte=self.since, created_at__lt=self.until)


def this_month(zone: dt.tzinfo = dt.UTC) -> dt.datetime:
    """When the current month began."""
    return timezone.now().astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def calls_of(user: User, span: Span) -> LedgerQuerySet:
    return LedgerEntry.objects.for_user(user).filter(span.where, kind__in=CALLS)


def calls_of_key(key: ApiKey, span: Span) -> LedgerQuerySet:
    return LedgerEntry.objects.for_key(key).filter(span.where, kind__in=CALLS)


def _sums() -> dict[str, Any]:
    return {**{name: Coalesce(Sum(name), 0) for name in COUNTED}, "request_count": Count("*")}


def total(calls: LedgerQuerySet) -> dict[str, int]:
    """Sums of COUNTED, and `request_count`."""
    return calls.aggregate(**_sums())


def grouped(calls: LedgerQuerySet, *fields: str, most: int | None = None) -> list[dict[str, Any]]:
    """As `total` for every combination of `fields`, what cost most first."""
    return list(calls.values(*fields).annotate(**_sums()).order_by("-cost_micros", *fields)[:most])


@dataclass(frozen=True, slots=True)
class Day:
    date: dt.date
    micros: list[int]  # by model, as Chart.models

    @property
    def label(self) -> str:
        return f"{self.date.day} {self.date:%b}"

    @property
    def total(self) -> int:
        return sum(self.micros)


@dataclass(frozen=True, slots=True)
class Chart:
    models: list[str]
    days: list[Day]


def by_day(calls: LedgerQuerySet, span: Span, zone: dt.tzinfo, names: dict[str, str]) -> Chart:
    """What each model cost on each day of the span, today at the latest, days without calls included. `names`: slug → label."""
    found = calls.values("model", day=TruncDate("created_at", tzinfo=zone)).annotate(micros=Sum("cost_micros"))
    costs: dict[str, dict[dt.date, int]] = defaultdict(lambda: defaultdict(int))
    for row in found.order_by():
        costs[row["model"]][row["day"]] += row["micros"]
    ranked = sorted(costs, key=lambda model: (-sum(costs[model].values()), model))
    shown, rest = ranked[:SHOWN_MODELS], ranked[SHOWN_MODELS:]
    models = [names.get(model) or model or "Without a model" for model in shown] + (["Others"] if rest else [])
    days = []
    for date in _days(span, zone):
        micros = [costs[model][date] for model in shown]
        days.append(Day(date, [*micros, sum(costs[model][date] for model in rest)] if rest else micros))
    return Chart(models, days)


def _days(span: Span, zone: dt.tzinfo) -> Iterable[dt.date]:
    first, now = span.since.astimezone(zone).date(), timezone.now()
    last = min(span.until - dt.timedelta(microseconds=1), now) if span.until else now
    for offset in range((last.astimezone(zone).date() - first).days + 1):
        yield first + dt.timedelta(days=offset)


# --- single lines -----------------------------------------------------------------------------------------------------------


class BadCursor(Exception):  # noqa: N818 - a refusal
    """Not a cursor that a page of lines ever carried."""


def cursor_of(line: LedgerEntry) -> str:
    return f"{round(line.created_at.timestamp() * 1_000_000)}_{line.pk}"


def lines_before(lines: LedgerQuerySet, cursor: str, most: int) -> list[LedgerEntry]:
    """The newest `most` of `lines`, behind `cursor` when there is one. Raises BadCursor."""
    if cursor:
        stamp, _, line_id = cursor.partition("_")
        try:
            at, pk = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=int(stamp)), UUID(line_id)
        except (ValueError, OverflowError) as error:
            raise BadCursor(cursor[:80]) from error
        lines = lines.filter(Q(created_at__lte=at), Q(created_at__lt=at) | Q(pk__lt=pk))
    return list(lines.order_by(F("created_at").desc(), "-pk")[:most])
