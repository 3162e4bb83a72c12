"""A balance for exactly ten answers and two hundred sends at once, from four processes."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.db.models import Sum

from accounts.models import User
from billing.models import Budget, LedgerEntry, Reservation
from tests.stack import Stack, until
from threads.models import CatalogModel, Turn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROCESSES, SENDS, CALLS = 4, 50, 10
ANSWER = 500_001  # micro-dollars: 250 tokens of output at 2,000 each, and an input that rounds up to one
USD = 5.00001  # for exactly CALLS of them


@pytest.fixture
def dear(books: None) -> Iterator[str]:
    """A model whose answers cost exactly what is held for them."""
    CatalogModel.objects.create(
        slug="dear",
        label="Dear",
        provider="anthropic",
        upstream="claude-haiku-4-5",
        context_window=100_000,
        input_price="0.000001",
        output_price="2000",
    )
    yield "dear"
    CatalogModel.objects.filter(slug="dear").delete()


def newcomer(opened: bool) -> User:
    """Somebody who signed up a moment ago; not `opened`: whose budgets their first sends have to open, all at once."""
    user = User(email=f"new-{uuid4().hex[:8]}@example.com", password="!")
    if opened:
        user.save()
        Budget.objects.for_user(user).update(limit_micros=int(USD * 1_000_000))
        return user
    return User.objects.bulk_create([user])[0]


@pytest.mark.parametrize("opened", [True, False], ids=["budget there", "very first sends"])
def test_no_more_is_admitted_than_there_is_money_for(bank: Stack, dear: str, opened: bool, tmp_path: Path) -> None:
    user = newcomer(opened)
    asked_before = bank.provider_stats()["requests"]
    command, go = ["-m", "tests.billing.sender", dear, user.email, str(SENDS)], tmp_path / "go"
    logs = [tmp_path / f"sender-{number}" for number in range(PROCESSES)]
    senders = [bank.fork([*command, str(go)], log, NEW_USER_BUDGET_USD=str(USD)) for log in logs]
    until(lambda: all(log.read_text() for log in logs), 60, "all have a connection for each of their sends")
    go.touch()
    reports = []
    for sender, log in zip(senders, logs, strict=True):
        assert sender.wait(120) == 0, log.read_text()[-3000:]
        reports.append(json.loads(log.read_text().splitlines()[-1]))

    assert sum(report["admitted"] for report in reports) == CALLS
    refused = [facts for report in reports for facts in report["refused"]]
    assert len(refused) == PROCESSES * SENDS - CALLS
    for facts in refused:
        assert facts["reason"] == "wallet_exhausted"
        assert facts["limit_micros"] - facts["spent_micros"] - facts["reserved_micros"] < ANSWER

    mine = Turn.objects.filter(thread__user=user)
    until(lambda: not mine.filter(finished_at=None).exists(), 60, "the admitted ones are answered")
    ended = list(mine.values_list("status", "cost_micros"))
    assert len(ended) == CALLS
    assert all(cost == ANSWER for status, cost in ended if status == "done")
    assert all(0 < cost <= ANSWER for _, cost in ended), "one that a busy machine interrupts pays for what it brought"
    assert bank.provider_stats()["requests"] - asked_before == CALLS
    spent = sum(cost for _, cost in ended)
    budget = Budget.objects.get(user=user)
    assert (budget.spent_micros, budget.reserved_micros, budget.limit_micros) == (spent, 0, CALLS * ANSWER), "overspend 0"
    lines = LedgerEntry.objects.for_user(user).filter(kind="turn")
    assert (lines.count(), lines.aggregate(Sum("cost_micros"))["cost_micros__sum"]) == (CALLS, spent)
    assert set(Reservation.objects.filter(account=budget).values_list("state", flat=True)) == {"settled"}
