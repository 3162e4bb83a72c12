"""Each call against its hold: a conversation longer than was thought, an answer cut short for want of money, figures nobody gave."""

from uuid import UUID

import pytest

from accounts import keys
from accounts.models import User
from billing.models import Budget, LedgerEntry, Reservation
from tests.api.client import Caller
from tests.stack import Stack
from threads.models import Turn

MODEL = "claude-haiku-4-5"  # 1 and 5 dollars per million tokens
pytestmark = pytest.mark.slow


@pytest.fixture
def app(bank: Stack, books: None) -> Caller:
    user = User.objects.create_user(f"{UUID(int=User.objects.count()).hex[-6:]}@calls.example.com")
    return Caller(bank.url, keys.mint(user, "app")[1])


def owner_of(thread_id: str) -> User:
    return User.objects.get(threads=UUID(thread_id))


def leave(thread_id: str, micros: int) -> Budget:
    """Have so much left in the account."""
    budget = Budget.objects.get(user=owner_of(thread_id))
    budget.limit_micros = budget.spent_micros + micros
    budget.save()
    return budget


def long_talk(app: Caller) -> str:
    """A conversation of some 100,000 characters whose length no hold remembers, as from before there were holds."""
    thread_id = app.thread()
    assert app.send(thread_id, "a long story " * 8000 + "[[tokens=3]]", model=MODEL).status == 200
    Reservation.objects.filter(pk__in=Turn.objects.filter(thread_id=thread_id)).delete()
    return thread_id


def test_an_empty_balance_is_a_402_with_its_figures_before_anything_is_asked(app: Caller, bank: Stack) -> None:
    thread_id = app.thread()
    leave(thread_id, 100)
    before = bank.provider_stats()["requests"]
    reply = app.send(thread_id, "hello", model=MODEL)
    assert reply.status == 402
    assert "is left of the account's balance" in reply.error
    error = reply.json["error"]
    assert error["type"] == "billing_error"
    assert {name: error[name] for name in ("reason", "limit_micros", "spent_micros", "reserved_micros")} == {
        "reason": "wallet_exhausted",
        "limit_micros": 100,
        "spent_micros": 0,
        "reserved_micros": 0,
    }
    assert bank.provider_stats()["requests"] == before


def test_the_last_money_makes_the_answer_shorter(app: Caller) -> None:
    thread_id = app.thread()
    leave(thread_id, 3000)
    reply = app.send(thread_id, "hello [[tokens=5]]", model=MODEL, tools=[])
    assert reply.status == 200
    held = Reservation.objects.get(pk=reply.json["qlaud"]["turn_id"])
    assert (held.amount_micros, held.state) == (3000, "settled")
    assert 256 <= held.max_tokens < 600


def test_a_conversation_longer_than_its_hold_thought_takes_another_in_its_place(app: Caller) -> None:
    thread_id = long_talk(app)
    reply = app.send(thread_id, "and now? [[tokens=5]]", model=MODEL, max_tokens=300)
    assert reply.status == 200
    held = Reservation.objects.get(pk=reply.json["qlaud"]["turn_id"])
    assert held.input_tokens > 100_000
    assert held.amount_micros > 100_000, "admitted, it was some 3,000"
    assert Budget.objects.get(user=owner_of(thread_id)).reserved_micros == 0
    follow_up = app.send(thread_id, "and then? [[tokens=5]]", model=MODEL, max_tokens=300)
    assert Reservation.objects.get(pk=follow_up.json["qlaud"]["turn_id"]).input_tokens > held.input_tokens, "known at admission by now"


def test_a_conversation_that_became_too_dear_ends_with_402_before_it_is_asked(app: Caller, bank: Stack) -> None:
    thread_id = long_talk(app)
    leave(thread_id, 20_000)
    before = bank.provider_stats()["requests"]
    reply = app.send(thread_id, "and now? [[tokens=5]]", model=MODEL, max_tokens=300, stream=True)
    assert (reply.status, reply.json["error"]["type"]) == (402, "billing_error"), "nothing was streamed yet"
    assert bank.provider_stats()["requests"] == before
    turn = Turn.objects.filter(thread_id=thread_id).latest("number")
    assert (turn.status, turn.error_kind, turn.cost_micros) == ("failed", "billing_error", 0)
    assert Reservation.objects.get(pk=turn.pk).state == "released"
    assert Budget.objects.get(user=owner_of(thread_id)).reserved_micros == 0
    with app.events(thread_id, str(turn.pk)) as stream:
        error, done = list(stream)[-2:]
    assert (error.name, error.data["status"], error.data["kind"]) == ("qlaud.error", 402, "billing_error")
    assert done.name == "qlaud.done"


@pytest.mark.parametrize("model", [MODEL, "gpt-5-4-mini"])
@pytest.mark.parametrize("script", ["tokens=40 no_usage", "tokens=40 cut=30"])
def test_a_provider_without_figures_is_paid_by_what_came(app: Caller, model: str, script: str) -> None:
    thread_id = app.thread()
    app.send(thread_id, f"hello [[{script}]]", model=model)
    line = LedgerEntry.objects.for_user(owner_of(thread_id)).get(kind="turn")
    assert line.estimated
    assert line.input_tokens > 5
    assert line.output_tokens == pytest.approx(40 if "no_usage" in script else 30, abs=5)
    assert line.cost_micros > 0


def test_a_refusal_of_the_provider_costs_nothing(app: Caller) -> None:
    thread_id = app.thread()
    assert app.send(thread_id, "[[status=429]]", model=MODEL).status == 429
    user = owner_of(thread_id)
    assert not LedgerEntry.objects.for_user(user).filter(kind="turn").exists()
    budget = Budget.objects.get(user=user)
    assert (budget.spent_micros, budget.reserved_micros) == (0, 0)


def test_a_line_says_who_asked_what_for_how_much_at_which_price(app: Caller) -> None:
    thread_id = app.thread(end_user_id="customer-7")
    reply = app.send(thread_id, "hello [[tokens=12]]", model=MODEL)
    line = LedgerEntry.objects.get(turn_id=reply.json["qlaud"]["turn_id"])
    turn = Turn.objects.get(pk=reply.json["qlaud"]["turn_id"])
    assert (line.kind, line.provider, line.model, line.end_user_id) == ("turn", "anthropic", MODEL, "customer-7")
    assert (line.thread_id, line.key_id, line.user_id) == (UUID(thread_id), turn.key_id, owner_of(thread_id).pk)
    assert (line.output_tokens, line.cost_micros, line.estimated) == (12, turn.cost_micros, False)
    assert line.price_version is not None
    assert line.price_version.price == turn.price
    assert Budget.objects.get(key=turn.key_id).spent_micros == line.cost_micros
