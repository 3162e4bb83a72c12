"""What an operator's machines ask: is the process alive, can it serve, how is it doing."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.models import Count, Min, Q, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.backoff import NoBackoff
from redis.retry import Retry

from billing.models import LedgerCheck
from threads.models import Runner, Turn

CHECK_SECONDS = 2  # for each connection and each answer
HEARTBEAT_SECONDS = 15.0  # a `replies` process shows itself much more often
RECENT = timedelta(hours=1)

Check = dict[str, Any]


@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """The process answers. Nothing else is asked, so that a lost database does not get every process restarted."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when everything that a conversation needs is there, else 503 with what is missing; within a few seconds."""
    checks = {**_database_checks(), "redis": _redis_check()}
    ready = all(check["ok"] for check in checks.values())
    response = JsonResponse({"ready": ready, "checks": checks}, status=200 if ready else 503, headers={"Cache-Control": "no-store"})
    response._has_been_logged = True  # type: ignore[attr-defined]  # else every probe of a bad minute is an error in the log
    return response


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text for the bearer of METRICS_TOKEN."""
    token, given = settings.METRICS_TOKEN, request.headers.get("Authorization", "")
    if not token or not hmac.compare_digest(f"Bearer {token}".encode(), given.encode()):
        return HttpResponse("A valid METRICS_TOKEN is needed.\n", status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(generate_latest(_registry()), content_type=CONTENT_TYPE_LATEST)


class Probes:
    """Answers probes before anything looks at the host name: load balancers ask by address, and over plain HTTP."""

    answers = {"/healthz": healthz, "/readyz": readyz}

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.answers.get(request.path, self.get_response)(request)


def _check(why: str = "") -> Check:
    return {"ok": not why, "why": why}


def _database_checks() -> dict[str, Check]:
    # A connection of its own: what is asked is whether new ones can be had, and the kept one might hang for minutes.
    limits = {"connect_timeout": CHECK_SECONDS, "options": f"-c statement_timeout={CHECK_SECONDS}s", "autocommit": True}
    try:
        with psycopg.connect(**{**connection.get_connection_params(), **limits}) as probe:
            return {"database": _check(), **_migration_checks(probe)}
    except psycopg.Error as error:
        unknown = _check("the database does not answer")
        return {"database": _check(f"cannot be used ({type(error).__name__})"), "migrations": unknown, "replies": unknown}


def _migration_checks(probe: psycopg.Connection[Any]) -> dict[str, Check]:
    try:
        applied = set(probe.execute("SELECT app, name FROM django_migrations").fetchall())
        missing = len(_migrations() - applied)
        if missing:
            return {"migrations": _check(f"{missing} not applied"), "replies": _check("waits for the migrations")}
        row = probe.execute("SELECT extract(epoch FROM now() - max(seen_at))::float FROM threads_runner WHERE NOT draining").fetchone()
    except psycopg.errors.UndefinedTable:
        return {"migrations": _check("never applied"), "replies": _check("waits for the migrations")}
    age = row[0] if row else None
    late = "never seen" if age is None else f"last seen {age:.0f} s ago" if age > HEARTBEAT_SECONDS else ""
    return {"migrations": _check(), "replies": _check(late)}


@cache
def _migrations() -> set[tuple[str, str]]:
    return set(MigrationLoader(None).disk_migrations)


def _redis_check() -> Check:
    url = settings.REDIS_URL or "redis://127.0.0.1:6379"
    once = Retry(NoBackoff(), 0)
    try:
        with redis.Redis.from_url(url, socket_timeout=CHECK_SECONDS, socket_connect_timeout=CHECK_SECONDS, retry=once) as probe:
            probe.ping()
    except redis.RedisError as error:
        return _check(f"cannot be used ({type(error).__name__})")
    return _check()


@cache
def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR, Conversations(), Ledger()):
        registry.register(collector)
    return registry


class Conversations(Collector):
    """The same figures from every process, because they are the database's; each query is a range of an index."""

    def describe(self) -> Iterator[Metric]:
        return iter(())  # asked when registering; without it the database would be

    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        live = Turn.objects.filter(status__in=[Turn.Status.RUNNING, Turn.Status.WAITING]).count()
        queue = Turn.objects.filter(status=Turn.Status.QUEUED).aggregate(length=Count("pk"), oldest=Min("created_at"))
        waited = (now - queue["oldest"]).total_seconds() if queue["oldest"] else 0.0
        awake = Runner.objects.filter(seen_at__gt=now - timedelta(seconds=HEARTBEAT_SECONDS))
        runners = awake.aggregate(count=Count("pk"), capacity=Sum("capacity", filter=Q(draining=False)))
        yield GaugeMetricFamily("chatai_turns_live", "Turns that are being answered.", live)
        yield GaugeMetricFamily("chatai_turns_queued", "Turns that wait for a free place.", queue["length"])
        yield GaugeMetricFamily("chatai_turns_queued_oldest_seconds", "How long the first in the queue has waited.", waited)
        yield GaugeMetricFamily("chatai_runners", "`replies` processes that are alive.", runners["count"])
        yield GaugeMetricFamily("chatai_runners_capacity", "Turns they can answer at once.", runners["capacity"] or 0)
        outcomes = GaugeMetricFamily("chatai_turns_recent", "Turns of the last hour by status.", labels=["status"])
        recent = dict(Turn.objects.filter(created_at__gt=now - RECENT).values_list("status").annotate(Count("pk")))
        for status in Turn.Status.values:
            outcomes.add_metric([status], recent.get(status, 0))
        yield outcomes


class Ledger(Collector):
    """What the last proof of the ledger found; nothing before the first one."""

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        last = LedgerCheck.objects.order_by("-checked_at").first()
        if last is not None:
            yield GaugeMetricFamily("chatai_ledger_differences", "What the last proof could not explain.", last.differences)
            checked = last.checked_at.timestamp()
            yield GaugeMetricFamily("chatai_ledger_checked_timestamp_seconds", "When the ledger was proved last.", checked)
