"""Money held for a send: by both gates, shrunk to what is left, given back, and never twice."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from accounts import keys
from accounts.models import ApiKey, User
from billing import actions as money
from billing.models import Budget, LedgerEntry, Reservation
from tests.stack import until
from tests.threads.dialogue import begin
from threads import actions, holds
from threads.actions import Admission, Refused
from threads.models import CatalogModel, Thread, Turn
from threads.providers import catalog

OUTPUT = 1000  # micro-dollars for a token of output, in these tests; input is free


@pytest.fixture(autouse=True)
def priced(db: None) -> None:
    """The demo model, whose output alone costs: a hold is its max_tokens."""
    CatalogModel.objects.filter(slug="demo").update(
        input_price=0, cache_read_price=0, cache_write_price=0, output_price=OUTPUT, default_max_tokens=1000, max_output_tokens=4000
    )
    catalog.forget()


def send(user: User, thread: Thread, key: ApiKey | None = None, **rest: Any) -> Admission:
    return actions.admit_turn(user, thread.pk, content="hello", model="demo", key=key, **{"request_id": str(uuid4()), **rest})


def account(user: User, limit: int | None = None) -> Budget:
    if limit is not None:
        Budget.objects.for_user(user).update(limit_micros=limit)
    return Budget.objects.get(user=user)


def hold(turn_id: UUID) -> Reservation:
    return Reservation.objects.get(pk=turn_id)


def test_signing_up_opens_two_budgets_and_a_line_that_explains_them(owner: User) -> None:
    assert account(owner).limit_micros == 5_000_000
    assert Budget.objects.get(key__user=owner).limit_micros == 5_000_000
    line = LedgerEntry.objects.for_user(owner).get()
    assert (line.kind, line.amount_micros, line.cost_micros) == ("credit", 5_000_000, 0)


def test_a_send_holds_the_most_it_can_cost_at_both_gates(owner: User) -> None:
    thread = actions.create_thread(owner)
    sent = send(owner, thread)
    held = hold(sent.turn_id)
    assert (held.state, held.amount_micros, held.max_tokens) == ("held", 1_000_000, 1000)
    assert account(owner).reserved_micros == 1_000_000
    assert Budget.objects.get(key__user=owner).reserved_micros == 1_000_000


def test_the_last_of_the_money_buys_a_shorter_answer(owner: User) -> None:
    account(owner, 300_500)
    held = hold(send(owner, actions.create_thread(owner)).turn_id)
    assert (held.amount_micros, held.max_tokens) == (300_500, 300)


def test_a_balance_below_256_tokens_is_refused_with_the_figures_and_nothing_is_stored(owner: User) -> None:
    account(owner, 255_999)
    thread = actions.create_thread(owner)
    with pytest.raises(Refused) as refused:
        send(owner, thread)
    assert (refused.value.status, refused.value.kind) == (402, "billing_error")
    assert refused.value.facts == {
        "reason": "wallet_exhausted",
        "limit_micros": 255_999,
        "spent_micros": 0,
        "reserved_micros": 0,
    }
    assert not Turn.objects.exists()
    thread.refresh_from_db()
    assert thread.turn_count == 0
    assert account(owner).reserved_micros == 0


def test_fewer_tokens_than_256_may_be_asked_for(owner: User) -> None:
    account(owner, 10_000)
    assert hold(send(owner, actions.create_thread(owner), options={"max_tokens": 10}).turn_id).amount_micros == 10_000


def test_the_cap_of_the_key_is_named_when_the_account_has_enough(owner: User) -> None:
    key, _ = keys.mint(owner, "app", max_spend_micros=100_000)
    thread = actions.create_thread(owner, key)
    with pytest.raises(Refused) as refused:
        send(owner, thread, key)
    assert refused.value.facts["reason"] == "key_cap_exceeded"
    assert refused.value.facts["limit_micros"] == 100_000
    key.max_spend_micros = None
    key.save(update_fields=["max_spend_micros"])
    send(owner, thread, key)
    assert Budget.objects.get(key=key).reserved_micros == 1_000_000


def test_a_replay_holds_nothing_and_is_answered_even_without_money(owner: User) -> None:
    account(owner, 1_000_000)
    thread = actions.create_thread(owner)
    first = send(owner, thread, request_id="same")
    again = send(owner, thread, request_id="same")
    assert (again.turn_id, again.replayed) == (first.turn_id, True)
    assert account(owner).reserved_micros == 1_000_000


@pytest.mark.django_db(transaction=True)
def test_a_repetition_that_waited_for_the_first_is_no_402(owner: User) -> None:
    """The first took all the money, and cannot be seen yet when the repetition begins."""
    account(owner, 1_000_000)
    thread = actions.create_thread(owner)

    def repeat() -> Admission:
        try:
            return send(owner, thread, request_id="same")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first = send(owner, thread, request_id="same")
            again = pool.submit(repeat)
            until(somebody_waits, 30, "the repetition waits for the conversation")
        assert (again.result().turn_id, again.result().replayed) == (first.turn_id, True)
    assert account(owner).reserved_micros == 1_000_000
    thread.refresh_from_db()
    assert thread.turn_count == 1


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_an_answer_that_thinks_is_not_shortened_below_its_thoughts(owner: User) -> None:
    account(owner, 700_000)
    thread = actions.create_thread(owner)
    thinking = {"type": "enabled", "budget_tokens": 400}
    with pytest.raises(Refused):
        send(owner, thread, options={"max_tokens": 900, "thinking": {**thinking, "budget_tokens": 600}})
    assert hold(send(owner, thread, options={"max_tokens": 900, "thinking": thinking}).turn_id).max_tokens == 700


def test_a_message_taken_back_gives_its_hold_back(owner: User) -> None:
    sent = send(owner, actions.create_thread(owner))
    actions.withdraw(owner, sent.turn_id)
    assert hold(sent.turn_id).state == "released"
    assert account(owner).reserved_micros == 0
    assert Budget.objects.get(key__user=owner).reserved_micros == 0


def test_the_sweeper_frees_what_nobody_waits_for_and_nothing_else(owner: User) -> None:
    account(owner, 50_000_000)
    kept, gone, fresh = (send(owner, actions.create_thread(owner)) for _ in range(3))
    actions.delete_thread(owner, gone.thread_id)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE billing_reservation SET lease_until = now() - interval '1 second' WHERE id <> %s", [fresh.turn_id])
    assert holds.free_lost() == 1
    assert [hold(sent.turn_id).state for sent in (kept, gone, fresh)] == ["held", "expired", "held"]
    assert account(owner).reserved_micros == 2_000_000
    assert holds.free_lost() == 0


def test_the_sweeper_leaves_a_hold_whose_turn_goes_on_after_all(owner: User) -> None:
    sent = send(owner, actions.create_thread(owner))
    actions.delete_thread(owner, sent.thread_id)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE billing_reservation SET lease_until = now() - interval '1 second'")
        cursor.execute(holds.OLDEST, [1])
        found = cursor.fetchone()[0]
    actions.undo_delete(owner, sent.thread_id)
    begin(sent.turn_id)
    assert (found, holds.free(found)) == (sent.turn_id, False)
    assert hold(sent.turn_id).state == "held"


def test_rows_written_past_the_signals_get_their_budgets_with_the_first_send(db: None) -> None:
    [user] = User.objects.bulk_create([User(email="bulk@example.com", password="!")])
    [key] = ApiKey.objects.bulk_create([ApiKey(user=user, name="k", digest=b"1" * 32, prefix="k", max_spend_micros=2_000_000)])
    [thread] = Thread.objects.bulk_create([Thread(user=user, key=key)])
    send(user, thread)
    assert (account(user).limit_micros, account(user).reserved_micros) == (5_000_000, 1_000_000)
    assert Budget.objects.get(key=key).limit_micros == 2_000_000


def test_operators_are_unlimited_and_counted_all_the_same(db: None) -> None:
    operator = User.objects.create_superuser("root@example.com", "x")
    assert account(operator).limit_micros is None
    send(operator, actions.create_thread(operator))
    assert account(operator).reserved_micros == 1_000_000


def test_limits_are_lifted_once(owner: User) -> None:
    for _ in range(2):
        money.lift_limits(owner)
    assert account(owner).limit_micros is None
    assert [line.amount_micros for line in LedgerEntry.objects.for_user(owner).order_by("created_at")] == [5_000_000, -5_000_000]
    assert ApiKey.objects.get(user=owner).max_spend_micros is None


def test_a_credit_is_posted_once_per_source_and_reaches_the_personal_key(owner: User) -> None:
    assert money.credit(owner, 2_000_000, "credit", "stripe:1", "Top-up") is not None
    assert money.credit(owner, 2_000_000, "credit", "stripe:1", "Top-up") is None
    assert account(owner).limit_micros == 7_000_000
    assert Budget.objects.get(key__user=owner).limit_micros == 7_000_000
    assert ApiKey.objects.get(user=owner).max_spend_micros == 7_000_000
    assert money.credit(owner, 6_500_000, "refund", "stripe:2") is not None
    assert account(owner).limit_micros == 500_000
    with pytest.raises(ValueError, match="cannot be credited"):
        money.credit(owner, 0, "credit", "stripe:3")


def test_an_operator_who_signed_up_before_becomes_unlimited(owner: User, settings: Any) -> None:
    settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD = owner.email, "a long password of the operator"
    call_command("ensure_admin")
    assert account(owner).limit_micros is None


def test_an_account_made_from_the_shell_is_the_operators_own(owner: User) -> None:
    call_command("mint_key", "--email", "tenant@example.com", "--name", "app", "--scope", "admin")
    assert account(User.objects.get(email="tenant@example.com")).limit_micros is None
    call_command("mint_key", "--email", owner.email, "--name", "app")
    assert account(owner).limit_micros == 5_000_000, "somebody who signed up has what they were given"
