"""The ledger: the database itself refuses to change it, and it forgets people without forgetting money."""

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.actions import close_account
from accounts.models import User
from billing import actions as money
from billing.models import Budget, LedgerEntry, Reservation


def refused(statement: str) -> None:
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "cost_micros = cost_micros + 1",
        "amount_micros = 0",
        "user_id = gen_random_uuid()",
        "user_id = NULL, amount_micros = 1",
        "source = 'another'",
        "reason = 'another'",
        "created_at = now()",
        "id = gen_random_uuid()",
    ],
)
def test_a_line_cannot_be_changed(owner: User, change: str) -> None:
    refused(f"UPDATE billing_ledgerentry SET {change}")


def test_a_line_cannot_be_deleted(owner: User) -> None:
    refused("DELETE FROM billing_ledgerentry")
    with pytest.raises(IntegrityError), transaction.atomic():
        LedgerEntry.objects.all().delete()


def test_closing_an_account_keeps_its_lines_without_who_it_was(owner: User, stranger: User) -> None:
    money.credit(owner, 1_000_000, "credit", f"gift to {owner.email}", f"for {owner.email}", stranger)
    close_account(owner)
    lines = list(LedgerEntry.objects.filter(user_id=None))
    assert sorted(line.amount_micros for line in lines) == [1_000_000, 5_000_000]
    for line in lines:
        identity = [line.key_id, line.end_user_id, line.thread_id, line.turn_id, line.actor_id, line.reason]
        assert identity == [None] * 5 + [""]
        assert line.source == f"erased:{line.pk}"
    assert LedgerEntry.objects.for_user(stranger).count() == 1, "the stranger's are as they were"
    assert not Budget.objects.filter(user_id=owner.pk).exists()
    assert not Reservation.objects.exists()
