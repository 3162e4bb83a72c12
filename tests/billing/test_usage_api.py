"""`/v1/usage` and `/v1/keys/:id/usage`: the ledger's sums, to whom they belong, and the same as CSV."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db.models import Sum
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, User
from billing.models import LedgerEntry
from billing.usage import cursor_of, lines_before
from tests.billing.spending import spend
from threads.models import Thread, Turn

Ask = Callable[..., Any]
NOW = timezone.now()
MONTH = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
SUMS = ("cost_micros", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


def ms(at: dt.datetime) -> int:
    return int(at.timestamp() * 1000)


@pytest.fixture
def admin(owner: User) -> str:
    return keys.mint(owner, "app", "admin")[1]


@pytest.fixture
def app_key(owner: User) -> ApiKey:
    return keys.mint(owner, "user_42", max_spend_micros=5_000_000)[0]


@pytest.fixture
def ask(admin: str, client: Client) -> Ask:
    """`ask(path, secret)`: the answer's JSON, or rows of CSV; another status than 200 as that number."""

    def get(path: str, secret: str = admin, **query: Any) -> Any:
        response = client.get(path, query, headers={"x-api-key": secret})
        if response.status_code != 200:
            return response.status_code
        if response["Content-Type"].startswith("text/csv"):
            return list(csv.DictReader(io.StringIO(response.content.decode())))
        return response.json()

    return get


def ledger(**where: Any) -> dict[str, int]:
    found = LedgerEntry.objects.filter(cost_micros__gt=0, **where)
    return {**found.aggregate(**{name: Sum(name) for name in SUMS}), "request_count": found.count()}


def furnish(owner: User, app_key: ApiKey) -> None:
    for number in range(6):
        kind = "turn" if number else "title"
        spend(owner, 1000 + number, model=("demo", "claude-haiku-4-5")[number % 2], cache_read_tokens=number, kind=kind)
        spend(owner, 77, key=app_key, provider="anthropic", model="claude-haiku-4-5", cache_write_tokens=3, estimated=number == 3)


def test_sums_are_the_ledgers(owner: User, stranger: User, app_key: ApiKey, ask: Ask) -> None:
    furnish(owner, app_key)
    spend(stranger, 9_999)
    usage, expected = ask("/v1/usage"), ledger(user_id=owner.pk)
    assert {name: usage[f"total_{name}"] for name in SUMS} == {name: expected[name] for name in SUMS}
    assert usage["request_count"] == expected["request_count"] == 12
    for part in ("by_key", "by_model"):
        assert {name: sum(row[name] for row in usage[part]) for name in expected} == expected
        assert [row["cost_micros"] for row in usage[part]] == sorted((row["cost_micros"] for row in usage[part]), reverse=True)
    by_key = {row["key_id"]: row for row in usage["by_key"]}
    assert {name: by_key[str(app_key.pk)][name] for name in expected} == ledger(key_id=app_key.pk)
    assert (by_key[str(app_key.pk)]["key_name"], by_key[str(app_key.pk)]["key_prefix"]) == ("user_42", app_key.prefix)
    assert {(row["model_slug"], row["provider_slug"]) for row in usage["by_model"]} == {
        ("demo", "demo"),
        ("claude-haiku-4-5", "demo"),
        ("claude-haiku-4-5", "anthropic"),
    }
    assert "9999" not in str(usage)


def test_money_that_came_in_is_no_usage(owner: User, ask: Ask) -> None:
    assert LedgerEntry.objects.filter(user_id=owner.pk, kind="credit").exists(), "a new account is given something"
    usage = ask("/v1/usage")
    assert (usage["total_cost_micros"], usage["request_count"], usage["by_key"], usage["by_model"]) == (0, 0, [], [])


def test_the_account_is_asked_from_the_first_of_the_month_on(owner: User, ask: Ask) -> None:
    spend(owner, 5, at=MONTH - dt.timedelta(milliseconds=1))
    spend(owner, 7, at=MONTH)
    usage = ask("/v1/usage")
    assert usage["total_cost_micros"] == 7
    assert usage["from_ms"] == ms(MONTH)
    assert ms(NOW) <= usage["to_ms"] <= ms(timezone.now())


def test_bounds_take_in_the_first_moment_and_leave_out_the_last(owner: User, app_key: ApiKey, ask: Ask) -> None:
    start = MONTH - dt.timedelta(days=40)
    for day in range(4):
        spend(owner, 10**day, key=app_key, at=start + dt.timedelta(days=day))
    bounds = {"from_ms": ms(start + dt.timedelta(days=1)), "to_ms": ms(start + dt.timedelta(days=3))}
    for path in ("/v1/usage", f"/v1/keys/{app_key.pk}/usage"):
        usage = ask(path, **bounds)
        assert (usage["total_cost_micros"], usage["from_ms"], usage["to_ms"]) == (110, *bounds.values())
        assert ask(path, from_ms=bounds["from_ms"], to_ms=bounds["from_ms"])["request_count"] == 0
        assert ask(path, from_ms=0)["total_cost_micros"] == 1111
        assert sum(int(row["cost_micros"]) for row in ask(path, format="csv", **bounds)) == 110


@pytest.mark.parametrize(
    "query",
    [
        {"from_ms": "yesterday"},
        {"from_ms": "-1"},
        {"to_ms": "1.5"},
        {"from_ms": "9" * 30},
        {"to_ms": str(253_402_300_800_000)},
        {"from_ms": "NaN"},
        {"from_ms": "2", "to_ms": "1"},
        {"format": "xml"},
    ],
    ids=str,
)
def test_nonsense_is_refused_with_a_sentence(query: dict[str, str], admin: str, app_key: ApiKey, client: Client) -> None:
    for path in ("/v1/usage", f"/v1/keys/{app_key.pk}/usage"):
        response = client.get(path, query, headers={"x-api-key": admin})
        assert response.status_code == 400
        assert response.json()["error"]["type"] == "invalid_request_error"
        assert any(name in response.json()["error"]["message"] for name in query)


def test_one_key_with_its_cap_and_its_last_calls(owner: User, app_key: ApiKey, ask: Ask) -> None:
    furnish(owner, app_key)
    usage = ask(f"/v1/keys/{app_key.pk}/usage")
    expected = ledger(key_id=app_key.pk)
    assert {name: usage[name] for name in expected} == expected
    assert usage["total_cost_micros"] == usage["spent_micros"] == usage["cost_micros"] == 6 * 77
    assert (usage["cap_micros"], usage["max_spend_usd"], usage["reserved_micros"]) == (5_000_000, 5.0, 0)
    assert (usage["key_id"], usage["key_name"], usage["key_prefix"]) == (str(app_key.pk), "user_42", app_key.prefix)
    assert [(row["model"], row["model_slug"], row["cost_micros"]) for row in usage["by_model"]] == [("claude-haiku-4-5",) * 2 + (6 * 77,)]
    assert len(usage["events"]) == 6
    assert sum(event["estimated"] for event in usage["events"]) == 1
    assert {event["user_id"] for event in usage["events"]} == {str(owner.pk)}


def test_a_key_without_a_cap_says_so(owner: User, ask: Ask) -> None:
    free, _ = keys.mint(owner, "free")
    usage = ask(f"/v1/keys/{free.pk}/usage")
    assert (usage["cap_micros"], usage["max_spend_usd"], usage["events"]) == (None, None, [])


def test_a_key_is_asked_for_its_whole_life_like_its_cap(owner: User, app_key: ApiKey, ask: Ask) -> None:
    long_ago = timezone.now() - dt.timedelta(days=100)
    ApiKey.objects.filter(pk=app_key.pk).update(created_at=long_ago)
    spend(owner, 3, key=app_key, at=long_ago + dt.timedelta(seconds=1))
    usage = ask(f"/v1/keys/{app_key.pk}/usage")
    assert (usage["cost_micros"], usage["from_ms"]) == (3, ms(long_ago))


def test_the_last_hundred_calls_are_listed_the_newest_first_and_csv_has_all(owner: User, app_key: ApiKey, ask: Ask) -> None:
    for number in range(130):
        spend(owner, number + 1, key=app_key)
    usage = ask(f"/v1/keys/{app_key.pk}/usage")
    assert [event["cost_micros"] for event in usage["events"]] == list(range(130, 30, -1))
    rows = ask(f"/v1/keys/{app_key.pk}/usage", format="csv")
    assert [int(row["cost_micros"]) for row in rows] == list(range(130, 0, -1))
    for row, event in zip(rows, usage["events"], strict=False):
        assert row == {name: "" if value is None else str(value) for name, value in event.items()}


def test_a_call_says_how_long_it_took_and_how_it_ended(owner: User, app_key: ApiKey, ask: Ask) -> None:
    thread = Thread.objects.create(user=owner)
    for number, status in enumerate(("done", "failed"), 1):
        times = {"started_at": NOW, "finished_at": NOW + dt.timedelta(milliseconds=1250)}
        turn = Turn.objects.create(
            thread=thread, number=number, request_id=status, request_digest=b"", model="demo", status=status, **times
        )
        spend(owner, number, key=app_key, thread_id=thread.pk, turn_id=turn.pk)
    spend(owner, 3, key=app_key, kind="title", turn_id=None)
    events = ask(f"/v1/keys/{app_key.pk}/usage")["events"]
    assert [(event["latency_ms"], event["status"]) for event in events] == [(None, 200), (1250, 502), (1250, 200)]
    assert events[1]["thread_id"] == str(thread.pk)


def test_csv_of_the_account_says_the_same_as_json(owner: User, app_key: ApiKey, ask: Ask) -> None:
    furnish(owner, app_key)
    rows, usage = ask("/v1/usage", format="csv"), ask("/v1/usage")
    for part, name in (("by_key", "key_id"), ("by_model", "model_slug")):
        for column in ("cost_micros", "input_tokens", "output_tokens", "request_count"):
            told: Counter[str] = Counter()
            for row in rows:
                told[row[name]] += int(row[column])
            expected: Counter[str] = Counter()
            for row in usage[part]:
                expected[row[name]] += row[column]
            assert told == expected


def test_a_name_cannot_become_a_formula(owner: User, ask: Ask) -> None:
    evil, _ = keys.mint(owner, '=HYPERLINK("http://evil.example")')
    spend(owner, 1, key=evil)
    assert [row["key_name"] for row in ask("/v1/usage", format="csv")] == ["'" + evil.name]


def test_revoked_keys_keep_appearing(owner: User, app_key: ApiKey, ask: Ask) -> None:
    spend(owner, 12, key=app_key)
    keys.revoke(app_key)
    assert [row["key_name"] for row in ask("/v1/usage")["by_key"]] == ["user_42"]
    assert ask(f"/v1/keys/{app_key.pk}/usage")["cost_micros"] == 12


def test_standard_keys_are_refused_and_foreign_keys_are_not_there(owner: User, stranger: User, app_key: ApiKey, ask: Ask) -> None:
    _, standard = keys.mint(owner, "standard")
    _, foreign = keys.mint(stranger, "boss", "admin")
    for path in ("/v1/usage", f"/v1/keys/{app_key.pk}/usage"):
        assert ask(path, standard) == 403
        assert ask(path, "qlk_live_" + "0" * 64) == 401
    assert ask(f"/v1/keys/{app_key.pk}/usage", foreign) == 404
    assert ask(f"/v1/keys/{app_key.pk}/usage", foreign, format="csv") == 404
    assert ask(f"/v1/keys/{uuid4()}/usage") == 404
    assert ask("/v1/usage", foreign)["request_count"] == 0


def test_a_page_of_lines_goes_on_behind_lines_of_the_same_moment(owner: User, app_key: ApiKey) -> None:
    ids: set[UUID] = {spend(owner, 1, key=app_key, at=NOW).pk for _ in range(7)}
    lines, cursor, seen = LedgerEntry.objects.for_key(app_key), "", []
    while found := lines_before(lines, cursor, 3):
        seen += [line.pk for line in found]
        cursor = cursor_of(found[-1])
    assert len(seen) == 7
    assert set(seen) == ids
