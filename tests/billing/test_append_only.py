"""The ledger in the database itself: raw SQL adds lines and takes away who they were about, and nothing else."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.actions import close_account
from accounts.models import User
from billing.models import LedgerEntry
from chatai.lib.ids import uuid7

pytestmark = pytest.mark.django_db

REFERENCES = {"user_id", "key_id", "thread_id", "turn_id", "actor_id", "end_user_id"}
ERASED = "user_id = NULL, key_id = NULL, end_user_id = NULL, thread_id = NULL, turn_id = NULL, actor_id = NULL, reason = ''"


@pytest.fixture
def line(owner: User) -> LedgerEntry:
    """With something in every column."""
    ids = {name: uuid7() for name in REFERENCES - {"end_user_id"}}
    tokens = {"input_tokens": 9, "output_tokens": 8, "cache_read_tokens": 7, "cache_write_tokens": 6}
    about = {"provider": "demo", "model": "demo", "end_user_id": "customer", "reason": "for a reason"}
    return LedgerEntry.objects.create(kind="turn", source="turn:1", cost_micros=30, **{**ids, **tokens, **about, "user_id": owner.pk})


@pytest.fixture(autouse=True)
def _as_in_the_product() -> Iterator[None]:
    """Tests run with the guard against emptying switched off, because Django empties tables between them."""
    sql("ALTER TABLE billing_ledgerentry ENABLE TRIGGER billing_ledger_never_emptied")
    yield
    sql("ALTER TABLE billing_ledgerentry DISABLE TRIGGER billing_ledger_never_emptied")


def sql(statement: str, *values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def refused(statement: str, *values: Any) -> bool:
    """Whether the database says no, by the rule of the ledger and not for another reason."""
    try:
        with transaction.atomic():
            sql(statement, *values)
    except DatabaseError as error:
        return "append-only" in str(error)
    return False


def stored(line: LedgerEntry) -> dict[str, Any]:
    return dict(LedgerEntry.objects.filter(pk=line.pk).values().get())


CHANGES = [
    "cost_micros = 0",
    "cost_micros = cost_micros + 1",
    "amount_micros = 5",
    "kind = 'adjust'",
    "source = 'turn:2'",
    "source = 'erased:' || gen_random_uuid()",
    "provider = ''",
    "model = 'other'",
    "input_tokens = 0",
    "output_tokens = output_tokens - 1",
    "cache_read_tokens = 0",
    "cache_write_tokens = 0",
    "estimated = true",
    "price_version_id = gen_random_uuid()",
    "created_at = now() + interval '1 second'",
    "id = gen_random_uuid()",
    "reason = 'another reason'",
    "end_user_id = 'somebody else'",
    "end_user_id = ''",
    *(f"{name} = gen_random_uuid()" for name in sorted(REFERENCES - {"end_user_id"})),
    "user_id = NULL",
    "key_id = NULL",
    "user_id = NULL, key_id = NULL, source = 'erased:' || id",
    "reason = ''",
    "source = 'erased:' || id",
    ERASED,
    f"{ERASED}, source = 'erased:' || id, cost_micros = 0",
    f"{ERASED}, source = 'erased:' || id, created_at = now() + interval '1 day'",
]


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_of_a_line_changes(line: LedgerEntry, change: str) -> None:
    before = stored(line)
    assert refused(f"UPDATE billing_ledgerentry SET {change}")
    assert refused(f"UPDATE billing_ledgerentry SET {change} WHERE id = %s", line.pk)
    assert stored(line) == before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM billing_ledgerentry",
        "DELETE FROM billing_ledgerentry WHERE cost_micros > 0",
        "WITH gone AS (DELETE FROM billing_ledgerentry RETURNING id) SELECT count(*) FROM gone",
        "TRUNCATE billing_ledgerentry",
        "TRUNCATE billing_ledgerentry, billing_stripeevent CASCADE",
        "INSERT INTO billing_ledgerentry SELECT * FROM billing_ledgerentry ON CONFLICT (source) DO UPDATE SET cost_micros = 0",
        "MERGE INTO billing_ledgerentry l USING (SELECT 1) AS x ON true WHEN MATCHED THEN DELETE",
    ],
)
def test_no_line_goes_away(line: LedgerEntry, statement: str) -> None:
    assert refused(statement)
    assert stored(line)["cost_micros"] == 30


def test_the_orm_is_refused_too(line: LedgerEntry) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        line.delete()
    line.cost_micros = 1
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        line.save()


def test_erasing_takes_the_person_and_leaves_the_figures(line: LedgerEntry) -> None:
    before = stored(line)
    assert sql(f"UPDATE billing_ledgerentry SET {ERASED}, source = 'erased:' || id WHERE id = %s", line.pk) == 1
    gone = dict.fromkeys(REFERENCES) | {"reason": "", "source": f"erased:{line.pk}"}
    assert stored(line) == before | gone
    for change in ("user_id = gen_random_uuid()", "source = 'turn:1'", "reason = 'x'"):
        assert refused(f"UPDATE billing_ledgerentry SET {change}"), "what is erased does not come back"


@pytest.mark.parametrize("name", ["end_user_id", "thread_id", "turn_id", "actor_id"])
def test_who_or_what_is_gone_before_the_account_can_be_taken_out_by_itself(line: LedgerEntry, name: str) -> None:
    before = stored(line)
    assert sql(f"UPDATE billing_ledgerentry SET {name} = NULL WHERE id = %s", line.pk) == 1
    assert stored(line) == before | {name: None}


def test_a_closed_account_leaves_its_lines_without_a_trace_of_the_person(line: LedgerEntry, owner: User, stranger: User) -> None:
    other = LedgerEntry.objects.create(kind="turn", source="turn:2", cost_micros=7, user_id=stranger.pk)
    total = sum(LedgerEntry.objects.values_list("cost_micros", flat=True))
    person = owner.pk
    close_account(owner)
    assert sum(LedgerEntry.objects.values_list("cost_micros", flat=True)) == total
    kept = stored(line)
    assert [kept[name] for name in REFERENCES] == [None] * len(REFERENCES)
    assert (kept["reason"], kept["model"], kept["output_tokens"]) == ("", "demo", 8)
    values = [str(value) for row in LedgerEntry.objects.values_list() for value in row if isinstance(value, str | UUID)]
    assert not any(str(person) in value or "customer" in value for value in values)
    assert stored(other)["user_id"] == stranger.pk
