"""The stand-in answers the official SDK as Stripe does: what the other tests rest on."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.conf import settings

from billing import payments
from billing.payments import PaymentsError, asking, v1
from tests.billing import stripe_stories as stories
from tests.fake_stripe.delivery import encode, sign
from tests.fake_stripe.server import FakeStripe
from tests.fake_stripe.wire import parse_form

KEY = {"idempotency_key": "one"}


def test_an_idempotency_key_gives_the_same_answer_and_refuses_another_question(stripe: FakeStripe) -> None:
    first, again = (v1().customers.create({"email": "a@example.com"}, KEY) for _ in range(2))
    assert first.id == again.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(PaymentsError, match="IdempotencyError"), asking("customer"):
        v1().customers.create({"email": "b@example.com"}, KEY)
    assert len(stripe.books.newest("customer")) == 1


def test_what_is_missing_unknown_or_not_allowed_is_an_error(stripe: FakeStripe, customer: str) -> None:
    asked: list[tuple[Callable[[], object], str]] = [
        (lambda: v1().payment_intents.retrieve("pi_none"), "No such payment_intent"),
        (lambda: v1().charges.list({"custommer": customer}), "unknown parameter: custommer"),
        (lambda: v1().refunds.create({"payment_intent": "pi_none"}), "No such payment_intent"),
        (lambda: v1().payouts.list(), "Unrecognized request URL"),
    ]
    for ask, said in asked:
        with pytest.raises(PaymentsError, match=said), asking("something"):
            ask()


def test_lists_are_newest_first_and_in_pages(stripe: FakeStripe, customer: str) -> None:
    paid = [stories.paid(stripe, customer, dollars) for dollars in range(1, 6)]
    page = v1().payment_intents.list({"customer": customer, "limit": 2})
    assert page.has_more
    assert [intent.id for intent in page.auto_paging_iter()] == paid[::-1]


def test_no_more_is_refunded_than_was_paid(stripe: FakeStripe, customer: str) -> None:
    intent = stories.paid(stripe, customer)
    v1().refunds.create({"payment_intent": intent, "amount": 600})
    with pytest.raises(PaymentsError, match="greater than unrefunded"), asking("refund"):
        v1().refunds.create({"payment_intent": intent, "amount": 401})


def test_its_signatures_are_those_the_sdk_checks(stripe: FakeStripe, customer: str) -> None:
    stories.paid(stripe, customer)
    event = stripe.books.events[-1]
    body = encode(event)
    read = payments.read_event(body, sign(body, settings.STRIPE_WEBHOOK_SECRETS[0], time.time()))
    assert (read.id, read.type, read.object_id) == (event["id"], event["type"], event["data"]["object"]["id"])


def test_forms_nest_as_on_the_wire() -> None:
    asked = "a=1&m[x]=y&items[0][price]=p&items[1][price]=q&expand[]=payments&expand[]=lines"
    assert parse_form(asked) == {"a": "1", "m": {"x": "y"}, "items": [{"price": "p"}, {"price": "q"}], "expand": ["payments", "lines"]}
