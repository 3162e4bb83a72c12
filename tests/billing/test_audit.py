"""The proof: silent while everything adds up, and naming the line when one micro-dollar does not."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts import keys
from accounts.actions import close_account
from accounts.models import ApiKey, User
from billing import actions, audit
from billing.models import Budget, LedgerCheck, LedgerEntry, Reservation
from billing.side_calls import SideCall
from billing.tasks import check_ledger
from chatai.lib.ids import uuid7
from threads.models import Thread, Turn

pytestmark = pytest.mark.django_db

PRICE = {"input": "3", "output": "15", "cache_read": "0.30", "cache_write": "3.75"}
LONG = {"long_above": "100", "long_input": "6", "long_output": "30", "long_cache_read": "0.6", "long_cache_write": "7.5"}
USAGE = {"input_tokens": 11, "output_tokens": 7, "cache_read_input_tokens": 5}  # 33 + 105 + 1.5


@pytest.fixture
def key(owner: User) -> ApiKey:
    return keys.mint(owner, "App", max_spend_micros=2_000_000)[0]


@pytest.fixture
def line(owner: User, key: ApiKey) -> LedgerEntry:
    """One of several of the owner; an open hold and other people's lines are there too."""
    stranger = User.objects.create_user("other@example.com")
    spend(stranger, None)
    spend(owner, key, price=PRICE | LONG, usage={"input_tokens": 150, "output_tokens": 2})
    hold(owner, key)
    actions.release(hold(owner, None).id)
    actions.credit(owner, 3_000_000, "credit", "payment:1", "Paid")
    actions.credit(owner, 1_000_000, "refund", "refund:1", "Paid back")
    actions.adjust(stranger, None, "adjust:1", "A friend")
    spend(stranger, None)
    spend(owner, None)
    return spend(owner, key)


def hold(user: User, key: ApiKey | None, price: dict[str, str] = PRICE) -> SideCall:
    key_id = key.pk if key else None
    call = SideCall("title", user.pk, key_id, None, "demo", "demo", price, input_tokens=200, max_tokens=50)
    assert actions.reserve_side_call(call).micros is not None
    return call


def spend(user: User, key: ApiKey | None, price: dict[str, str] = PRICE, usage: dict[str, int] = USAGE) -> LedgerEntry:
    call = hold(user, key, price)
    actions.settle_side_call(call, usage)
    return LedgerEntry.objects.get(source=f"title:{call.id}")


@pytest.fixture
def past_the_guard() -> Iterator[None]:
    """As somebody who owns the tables could do it."""
    sql("ALTER TABLE billing_ledgerentry DISABLE TRIGGER billing_ledger_append_only")
    yield
    sql("ALTER TABLE billing_ledgerentry ENABLE TRIGGER billing_ledger_append_only")


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def told() -> list[str]:
    proof = audit.prove()
    assert proof.count == len(proof.differences)
    return [str(one) for one in proof.differences]


def test_nothing_differs_in_a_ledger_that_was_only_moved_by_the_product(line: LedgerEntry) -> None:
    proof = audit.prove()
    assert (proof.differences, proof.count, proof.first) == ([], 0, "")
    assert proof.lines == LedgerEntry.objects.count()
    assert proof.budgets == Budget.objects.count()


def test_a_line_whose_cost_was_changed_is_named_first(line: LedgerEntry, owner: User, past_the_guard: None) -> None:
    sql("UPDATE billing_ledgerentry SET cost_micros = cost_micros - 1 WHERE id = %s", line.pk)
    found = told()
    assert found[0] == f"line {line.pk} ({line.source}): 139 is charged, its tokens cost 140"
    assert f"account {owner.pk}: spent is " in found[1]
    assert len(found) == 3, "the line, its account, its key"


def test_a_line_that_charges_more_than_its_tokens_is_named(line: LedgerEntry, past_the_guard: None) -> None:
    sql("UPDATE billing_ledgerentry SET cost_micros = cost_micros + %s WHERE id = %s", audit.ROUNDING + 1, line.pk)
    assert told()[0].startswith(f"line {line.pk} (title:")


def test_a_line_that_was_deleted_is_named_by_its_hold(line: LedgerEntry, owner: User, past_the_guard: None) -> None:
    sql("DELETE FROM billing_ledgerentry WHERE id = %s", line.pk)
    found = told()
    assert found[0].startswith(f"hold {line.source.removeprefix('title:')}: settled at ")
    assert len(found) == 3


def test_a_line_that_somebody_slipped_in_is_named(line: LedgerEntry, owner: User) -> None:
    slipped = LedgerEntry.objects.create(kind="turn", source="turn:made-up", user_id=owner.pk, cost_micros=77)
    found = told()
    assert found[0] == f"line {slipped.pk} (turn:made-up): there is no hold for it"
    assert str(slipped.pk) in found[1], "77 are missing from the counter, and this line is of 77"


def test_credit_that_somebody_slipped_in_is_named(line: LedgerEntry, owner: User) -> None:
    slipped = LedgerEntry.objects.create(kind="credit", source="gift", user_id=owner.pk, amount_micros=123)
    assert told() == [
        f"account {owner.pk}: the limit is 7000000, what was credited and taken back sums up to 7000123 (look at line {slipped.pk})"
    ]


def test_a_counter_that_was_moved_by_one_micro_dollar_is_found(line: LedgerEntry, owner: User, key: ApiKey) -> None:
    for what, whose, change in (
        (f"account {owner.pk}: spent is ", {"user": owner}, "spent_micros = spent_micros + 1"),
        (f"account {owner.pk}: the limit is ", {"user": owner}, "limit_micros = limit_micros - 1"),
        (f"account {owner.pk}: the limit is none", {"user": owner}, "limit_micros = NULL"),
        (f"account {owner.pk}: ", {"user": owner}, "reserved_micros = reserved_micros - 1"),
        (f"key {key.pk}: spent is ", {"key": key}, "spent_micros = spent_micros - 1"),
        (f"key {key.pk}: ", {"key": key}, "reserved_micros = reserved_micros + 1"),
    ):
        budget = Budget.objects.get(**whose)
        sql(f"UPDATE billing_budget SET {change} WHERE id = %s", budget.pk)
        found = told()
        assert len(found) == 1, change
        assert found[0].startswith(what)
        budget.save()
    assert told() == []


def test_a_hold_whose_state_was_changed_is_found(line: LedgerEntry) -> None:
    settled = Reservation.objects.get(pk=line.source.removeprefix("title:"))
    settled.state = "expired"
    settled.save()
    assert told() == [f"line {line.pk} ({line.source}): its hold is expired"]


def test_what_is_left_of_a_deleted_budget_is_found(line: LedgerEntry, owner: User) -> None:
    Budget.objects.filter(user=owner)._raw_delete("default")
    found = told()
    assert any(one.startswith(f"account {owner.pk}: spent is not counted") for one in found)
    assert any("a budget that is gone" in one for one in found)


def test_a_long_prompt_may_be_charged_by_either_tier_and_by_nothing_else(line: LedgerEntry, past_the_guard: None) -> None:
    long = LedgerEntry.objects.get(input_tokens=150)
    assert long.cost_micros == 150 * 6 + 2 * 30
    sql("UPDATE billing_ledgerentry SET cost_micros = 479 WHERE id = %s", long.pk)
    assert told()[0] == f"line {long.pk} ({long.source}): 479 is charged, its tokens cost 480 to 960"


def test_a_hold_that_is_a_line_already_is_not_held_again(line: LedgerEntry, owner: User) -> None:
    """As a process tries that lost its turn to another one, which finished it."""
    settled = UUID(line.source.removeprefix("title:"))
    grant = actions.reserve_side_call(SideCall("title", owner.pk, None, None, "demo", "demo", PRICE, 200, 50, id=settled))
    assert grant.micros is None
    assert Reservation.objects.get(pk=settled).state == "settled"
    assert told() == []


def test_an_unknown_price_is_named(line: LedgerEntry, past_the_guard: None) -> None:
    sql("UPDATE billing_ledgerentry SET price_version_id = %s WHERE id = %s", uuid7(), line.pk)
    assert "its price is not there" in told()[0]


def test_a_call_that_cost_more_than_its_hold_is_charged_the_hold_and_is_no_difference(owner: User) -> None:
    greedy = spend(owner, None, usage={"input_tokens": 5000, "output_tokens": 5000})
    assert greedy.cost_micros == Reservation.objects.get().amount_micros < 5000 * 18
    assert told() == []


def test_the_lines_of_a_closed_account_differ_from_nothing(line: LedgerEntry, owner: User) -> None:
    close_account(owner)
    assert told() == []


def turn(owner: User, cost: int, **fields: Any) -> Turn:
    now = timezone.now()
    thread = Thread.objects.create(user=owner, turn_count=1)
    given = {"number": 1, "request_digest": b"", "status": "done", "cost_micros": cost, "finished_at": now}
    return Turn.objects.create(thread=thread, request_id="1", model="demo", **given | fields)


def test_a_turn_costs_what_its_line_says(owner: User) -> None:
    paid = turn(owner, 140)
    call = SideCall("turn", owner.pk, None, None, "demo", "demo", PRICE, input_tokens=200, max_tokens=50, id=paid.pk, turn_id=paid.pk)
    actions.reserve_side_call(call)
    assert told() == [f"turn {paid.pk}: it cost 140 (0 of it for tools), its line says nothing: there is none"]
    actions.settle_side_call(call, USAGE)
    assert told() == []
    Turn.objects.filter(pk=paid.pk).update(cost_micros=141)
    line = LedgerEntry.objects.get(turn_id=paid.pk)
    assert told() == [f"turn {paid.pk}: it cost 141 (0 of it for tools), its line says 140 (look at line {line.pk})"]


def test_a_turn_without_a_hold_is_found_unless_it_is_older_than_the_ledger(owner: User) -> None:
    turn(owner, 9, created_at=timezone.now() - timedelta(days=1))
    turn(owner, 0, created_at=timezone.now() + timedelta(days=1))
    assert told() == []
    new = turn(owner, 9, created_at=timezone.now() + timedelta(days=1))
    assert told() == [f"turn {new.pk}: it cost 9 (0 of it for tools), its line says nothing: there is none"]


def test_the_command_tells_what_holds_and_what_does_not_and_exits_with_1(line: LedgerEntry, owner: User) -> None:
    out = StringIO()
    call_command("check_ledger", stdout=out)
    assert out.getvalue().count("holds  ") == len(audit.checks()) == 8
    assert "DIFFERS" not in out.getvalue()
    sql("UPDATE billing_budget SET spent_micros = spent_micros + 5 WHERE user_id = %s", owner.pk)
    out = StringIO()
    with pytest.raises(CommandError, match=f"1 differences. The first: account {owner.pk}: spent is") as refused:
        call_command("check_ledger", stdout=out)
    assert refused.value.returncode == 1
    assert out.getvalue().count("holds  ") == 7
    assert "DIFFERS  what accounts have spent is the sum of their lines" in out.getvalue()


def test_every_difference_is_counted_and_the_first_of_them_are_told(owner: User) -> None:
    entries = [LedgerEntry(kind="tool", source=f"tool:{number}", user_id=owner.pk) for number in range(audit.SHOWN + 5)]
    LedgerEntry.objects.bulk_create(entries)
    proof = audit.prove()
    assert (proof.count, len(proof.differences)) == (audit.SHOWN + 5, audit.SHOWN)
    assert proof.differences[0].line == entries[0].pk


def test_the_nightly_job_keeps_the_outcome_and_logs_an_error(line: LedgerEntry, caplog: pytest.LogCaptureFixture) -> None:
    old = LedgerCheck.objects.create(checked_at=timezone.now() - timedelta(days=400), seconds=1, lines=1, budgets=1, differences=0)
    check_ledger()
    assert not LedgerCheck.objects.filter(pk=old.pk).exists()
    kept = LedgerCheck.objects.get()
    assert (kept.differences, kept.first, kept.lines) == (0, "", LedgerEntry.objects.count())
    assert [entry for entry in caplog.records if entry.levelno >= logging.ERROR] == []
    Budget.objects.update(spent_micros=0)
    check_ledger()
    kept = LedgerCheck.objects.latest("checked_at")
    assert kept.differences == 3
    assert "spent is 0" in kept.first
    assert [entry.levelname for entry in caplog.records if "does not add up" in entry.message] == ["ERROR"]


def test_metrics_tell_the_last_outcome(client: Client, settings: Settings, owner: User) -> None:
    settings.METRICS_TOKEN = "scrape me"
    for wrong in (2, 0):
        assert f"chatai_ledger_differences {wrong}.0" not in scraped(client)
        LedgerCheck.objects.create(seconds=1, lines=10, budgets=2, differences=wrong)
        assert f"chatai_ledger_differences {wrong}.0" in scraped(client)
    assert "chatai_ledger_checked_timestamp_seconds 1." in scraped(client)


def scraped(client: Client) -> str:
    return client.get("/metrics", headers={"authorization": "Bearer scrape me"}).content.decode()
