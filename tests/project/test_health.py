"""What probes and scrapers get."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from threads.models import Runner, Thread, Turn


def beat(age: float = 0, **fields: Any) -> Runner:
    now = timezone.now()
    return Runner.objects.create(name=f"r{age}", started_at=now, seen_at=now - timedelta(seconds=age), capacity=100, **fields)


def missing(client: Client) -> dict[str, str]:
    response = client.get("/readyz")
    checks = response.json()["checks"]
    assert response.status_code == (200 if all(check["ok"] for check in checks.values()) else 503)
    assert set(checks) == {"database", "migrations", "replies", "redis"}
    return {name: check["why"] for name, check in checks.items() if not check["ok"]}


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {"host": "127.0.0.1", "port": "1", "dbname": "none"}
    monkeypatch.setattr(connection, "get_connection_params", lambda: nowhere)


def test_a_living_process_says_so_without_the_database(client: Client) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")


def test_probes_may_come_by_address_and_over_plain_http(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/healthz", headers={"host": "10.0.0.7:8000"}).status_code == 200


def test_probes_only_read(client: Client) -> None:
    assert client.post("/healthz").status_code == 405
    assert client.delete("/readyz").status_code == 405


@pytest.mark.django_db(transaction=True)
def test_ready_means_database_redis_migrations_and_a_fresh_heartbeat(client: Client) -> None:
    assert missing(client) == {"replies": "never seen"}
    beat(age=60)
    assert missing(client) == {"replies": "last seen 60 s ago"}
    beat(age=5, draining=True)
    assert missing(client) == {"replies": "last seen 60 s ago"}
    beat(age=1)
    assert missing(client) == {}


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_was_not_applied_is_counted(client: Client) -> None:
    beat()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'threads' AND name LIKE '0001%%' RETURNING app, name, applied")
        row = cursor.fetchone()
        try:
            assert missing(client) == {"migrations": "1 not applied", "replies": "waits for the migrations"}
        finally:
            cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", row)


def test_no_database_is_said_at_once(client: Client, no_database: None) -> None:
    unknown = "the database does not answer"
    assert missing(client) == {"database": "cannot be used (OperationalError)", "migrations": unknown, "replies": unknown}


@pytest.mark.django_db(transaction=True)
def test_no_redis_is_said_at_once(client: Client, settings: Settings) -> None:
    beat()
    settings.REDIS_URL = "redis://127.0.0.1:1"
    assert missing(client) == {"redis": "cannot be used (ConnectionError)"}


@pytest.fixture
def scraper(settings: Settings) -> Client:
    settings.METRICS_TOKEN = "scrape me"
    return Client(headers={"authorization": "Bearer scrape me"})


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer wrong", "scrape me", "Bearer scrape m\u00e9"])
def test_metrics_need_the_token(client: Client, settings: Settings, given: str) -> None:
    for token in ("scrape me", ""):
        settings.METRICS_TOKEN = token
        response = client.get("/metrics", headers={"authorization": given})
        assert response.status_code == 401
        assert b"chatai_" not in response.content


def test_metrics_tell_what_is_going_on(scraper: Client, owner: User) -> None:
    thread = Thread.objects.create(user=owner)
    now = timezone.now()
    common = {"thread": thread, "request_digest": b"", "model": "demo"}
    Turn.objects.create(number=1, request_id="1", status="done", **common)
    Turn.objects.create(number=2, request_id="2", status="running", lease_until=now, ring=0, **common)
    Turn.objects.create(number=3, request_id="3", created_at=now - timedelta(seconds=90), **common)
    Turn.objects.create(number=4, request_id="4", status="failed", created_at=now - timedelta(hours=2), **common)
    beat(age=1, live_turns=1)
    beat(age=60)

    response = scraper.get("/metrics")

    assert response.headers["Content-Type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in response.content.decode().splitlines() if not line.startswith("#"))
    assert float(lines["chatai_turns_live"]) == 1
    assert float(lines["chatai_turns_queued"]) == 1
    assert 90 <= float(lines["chatai_turns_queued_oldest_seconds"]) < 100
    assert (float(lines["chatai_runners"]), float(lines["chatai_runners_capacity"])) == (1, 100)
    assert float(lines['chatai_turns_recent{status="done"}']) == 1
    assert float(lines['chatai_turns_recent{status="failed"}']) == 0
    assert float(lines["process_resident_memory_bytes"]) > 10_000_000
