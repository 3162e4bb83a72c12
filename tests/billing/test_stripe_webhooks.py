"""Whatever Stripe's events do on their way, the money is right in the end: once, in any order, wherever something dies."""

from __future__ import annotations

import copy
import functools
import itertools
import math
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test import Client

from accounts.models import User
from billing import actions, collect, payments
from billing.models import Budget, StripeEvent
from tests.billing import stripe_stories as stories
from tests.billing.stripe_stories import DOLLAR, STORIES, Story, deliver, limit, lines
from tests.fake_stripe.server import FakeStripe
from tests.fake_stripe.wire import Json


def name_of(story: Story) -> str:
    return story.__name__


@pytest.fixture
def one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Stripe says is asked once: for thousands of deliveries after everything happened, when it says the same each time."""
    monkeypatch.setattr(payments, "payment_behind", functools.cache(payments.payment_behind))


@pytest.mark.slow
@pytest.mark.usefixtures("one_look")
@pytest.mark.parametrize("story", STORIES, ids=name_of)
def test_one_end_state_in_every_order_and_however_often(story: Story, stripe: FakeStripe, customer: str, owner: User) -> None:
    """All orders of up to five events; behind each of them, now and then, up to four that came before once more.

    What orders begin with in common is delivered once, and taken back as far as the next one differs.
    """
    client, dice, before = Client(), random.Random(4), limit(owner)
    worth, happened = story(stripe, customer), stories.events(stripe)
    ends = []

    def go_on(order: list[Json]) -> None:
        if len(order) == len(happened):
            assert StripeEvent.objects.exclude(applied_at=None).count() == len(order)
            assert limit(owner) == before + worth
            ends.append(tuple(lines(owner)))
        for event in happened:
            if event not in order:
                so_far = [*order, event]
                with transaction.atomic():
                    for one in (event, *dice.choices(so_far, k=dice.choice((0, 0, 0, 1, 4)))):
                        assert deliver(client, one) == 200
                    go_on(so_far)
                    transaction.set_rollback(True)

    go_on([])
    assert len(ends) == math.factorial(len(happened))
    assert len(set(ends)) == 1
    assert sum(amount for _, _, amount in ends[0]) == worth


@pytest.mark.parametrize("story", STORIES, ids=name_of)
def test_each_event_alone_however_often(story: Story, stripe: FakeStripe, customer: str, owner: User) -> None:
    client = Client()
    story(stripe, customer)
    for event in stories.events(stripe):
        seen = set()
        for times in range(1, 6):
            with transaction.atomic():
                assert {deliver(client, event) for _ in range(times)} == {200}
                seen.add(tuple(lines(owner)))
                transaction.set_rollback(True)
        assert len(seen) == 1, event["type"]


@pytest.mark.parametrize("story", STORIES, ids=name_of)
def test_states_that_were_read_long_ago_do_no_harm(story: Story, stripe: FakeStripe, customer: str, owner: User) -> None:
    """Processes that read Stripe right at each event post in many orders: the same end as reading at the end alone."""
    dice = random.Random(5)
    pictures: list[tuple[Json, dict[str, Json]]] = []
    stripe.books.listeners.append(lambda event: pictures.append((event, copy.deepcopy(stripe.books.objects))))
    before, worth = limit(owner), story(stripe, customer)
    states: list[payments.Payment | None] = []
    for event, stripe.books.objects in pictures:
        about = event["data"]["object"]
        if event["type"] in collect.EVENT_TYPES:
            states.append(payments.payment_behind(about["object"], about["id"]))
    ends = set()
    orders = list(itertools.permutations(states[-5:]))
    for order in dice.sample(orders, min(24, len(orders))):
        with transaction.atomic():
            for state in order:
                collect._post(state)
            assert limit(owner) == before + worth
            ends.add(tuple(lines(owner)))
            transaction.set_rollback(True)
    assert len(ends) == 1


class KilledError(OperationalError):
    """As the driver says it when the connection is gone, also at the end of a transaction."""


def killing(after: int) -> Callable[..., Any]:
    """Lets so many statements through, and then only the undoing of what they did, as the database does for a dead process."""
    left = itertools.count(after, -1)

    def wrapper(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        undoing = sql.startswith("ROLLBACK") or (sql.startswith("RELEASE") and len(deaths) > 0)
        if not undoing and next(left) <= 0:
            deaths.append(sql)
            raise KilledError
        return execute(sql, *args)

    deaths: list[str] = []

    return wrapper


@pytest.mark.usefixtures("one_look")
@pytest.mark.parametrize("story", STORIES, ids=name_of)
def test_a_death_at_any_statement_leaves_nothing_half_done(story: Story, stripe: FakeStripe, customer: str, owner: User) -> None:
    client, before = Client(raise_request_exception=False), limit(owner)
    worth = story(stripe, customer)
    dice = random.Random(7)
    for _ in range(3):
        happened = stories.events(stripe)
        dice.shuffle(happened)
        with transaction.atomic():
            for event in happened:
                state, after, status = (limit(owner), lines(owner)), 0, 500
                while status != 200:
                    with connection.execute_wrapper(killing(after)):
                        status = deliver(client, event)
                    if status != 200:
                        assert (limit(owner), lines(owner)) == state, f"{event['type']} died before statement {after + 1}"
                    after += 1 if after < 3 else dice.randint(1, 3)
                assert after > 3, "deaths were tried"
            assert limit(owner) == before + worth
            transaction.set_rollback(True)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("story", STORIES, ids=name_of)
def test_the_same_money_in_parallel(story: Story, stripe: FakeStripe, customer: str, owner: User) -> None:
    """Every event twice at the same moment, and all of them together from four sides: nothing twice, nothing stuck."""
    before, dice, worth = limit(owner), random.Random(11), story(stripe, customer)
    happened = stories.events(stripe)
    for crowd in (*([event] * 2 for event in happened), *(dice.sample(happened * 4, len(happened) * 4) for _ in range(2))):
        assert set(at_once(crowd)) == {200}
    assert limit(owner) == before + worth
    assert sum(amount for _, _, amount in lines(owner)) == worth
    assert StripeEvent.objects.exclude(applied_at=None).count() == len(happened)


def at_once(crowd: list[Json]) -> list[int]:
    """The statuses of all of them, delivered at the same moment by four threads at most."""
    found: list[int] = []
    sides = min(4, len(crowd))
    start = threading.Barrier(sides)

    def side(events: list[Json]) -> None:
        client = Client()
        start.wait()
        found.extend(deliver(client, event) for event in events)
        connections.close_all()

    threads = [threading.Thread(target=side, args=(crowd[number::sides],)) for number in range(sides)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(crowd)
    return found


def test_what_is_taken_back_is_owed_when_it_is_spent(stripe: FakeStripe, customer: str, owner: User) -> None:
    client = Client()
    intent = stories.paid(stripe, customer)
    Budget.objects.filter(user=owner).update(spent_micros=12 * DOLLAR)
    stripe.books.dispute(intent)
    for event in stories.events(stripe):
        deliver(client, event)
    budget = Budget.objects.get(user=owner)
    assert (budget.limit_micros, budget.left_micros) == (5 * DOLLAR, -7 * DOLLAR)


def test_switching_plans_back_and_forth_gives_only_what_was_paid(stripe: FakeStripe, customer: str, owner: User) -> None:
    """$20 for $25; up to $100 for $150 and down again, twice, on the same $80 and then on the balance at Stripe."""
    subscription = stories.subscribed(stripe, customer)
    for number in (1, 0, 1, 0):
        stripe.books.change_plan(subscription, stories.price(number))
    client, before = Client(), limit(owner)
    for event in stripe.books.events:
        assert deliver(client, event) == 200
    assert limit(owner) - before == 150 * DOLLAR
    assert stripe.books.find("customer", customer)["balance"] == -8000


def test_money_of_others_is_left_alone(stripe: FakeStripe, customer: str, owner: User, stranger: User) -> None:
    """Payments that are no top-ups, of customers nobody knows, and of plans that are not ours."""
    before = limit(owner)
    stripe.books.charge(customer, 5000, "usd", {})
    unknown = stripe.api.make_customer({"email": "x@example.com"})["id"]
    stories.paid(stripe, unknown)
    stripe.books.subscribe(customer, stripe.price("Something else", 700), 1, {})
    client = Client()
    for event in stripe.books.events:
        assert deliver(client, event) == 200
    assert (limit(owner), lines(owner), lines(stranger)) == (before, [], [])


def test_stripe_is_asked_to_come_again_when_it_cannot_be_asked(stripe: FakeStripe, customer: str, owner: User) -> None:
    client, before = Client(), limit(owner)
    stories.paid(stripe, customer)
    stripe.down = True
    event = stories.events(stripe)[-1]
    assert deliver(client, event) == 503
    assert not StripeEvent.objects.exists()
    stripe.down = False
    assert deliver(client, event) == 200
    assert limit(owner) == before + 10 * DOLLAR


def test_an_unlimited_account_stays_so(stripe: FakeStripe, customer: str, owner: User) -> None:
    actions.lift_limits(owner)
    intent, client = stories.paid(stripe, customer), Client()
    stripe.books.refund(intent)
    for event in stories.events(stripe):
        assert deliver(client, event) == 200
    assert Budget.objects.get(user=owner).limit_micros is None


def test_a_currency_that_a_price_is_not_sold_in_is_never_guessed() -> None:
    sold = payments.Price(2000, "usd", "month", (("usd", 2000), ("jpy", 3000)))
    assert (sold.cents_in("usd"), sold.cents_in("jpy")) == (2000, 3000)
    with pytest.raises(payments.PaymentsError, match="no amount in eur"):
        sold.cents_in("eur")
