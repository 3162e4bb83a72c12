"""Customers come and go, here and at Stripe; and the clock catches what webhooks miss."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.actions import close_account
from accounts.models import User
from billing import checkout, collect, payments, tasks
from billing.models import LedgerEntry, StripeCustomer, StripeEvent
from tests.billing import stripe_stories as stories
from tests.billing.stripe_stories import DOLLAR, deliver, limit
from tests.fake_stripe.server import FakeStripe


def test_an_account_has_one_customer(stripe: FakeStripe, owner: User) -> None:
    first = checkout.customer_of(owner)
    assert checkout.customer_of(owner) == first
    StripeCustomer.objects.all().delete()  # as when this process died before it wrote that down
    assert checkout.customer_of(owner) == first
    assert len(stripe.books.newest("customer")) == 1


def test_closing_the_account_ends_the_plan_and_deletes_the_customer(stripe: FakeStripe, customer: str, owner: User) -> None:
    subscription = stories.subscribed(stripe, customer)
    intent = stories.paid(stripe, customer)
    close_account(owner)
    assert stripe.books.find("subscription", subscription)["status"] == "active"
    stripe.down = True
    tasks.sweep_payments()
    assert StripeCustomer.objects.get().deleted_at is None, "kept for the next time"
    stripe.down = False
    for _ in range(2):
        tasks.sweep_payments()
    assert stripe.books.find("subscription", subscription)["status"] == "canceled"
    assert stripe.books.find("customer", customer)["deleted"]
    before = LedgerEntry.objects.count()
    stripe.books.refund(intent)
    for event in stripe.books.events:
        assert deliver(Client(), event) == 200
    assert LedgerEntry.objects.count() == before


def test_a_customer_deleted_at_stripe_is_made_anew(stripe: FakeStripe, customer: str, owner: User) -> None:
    intent = stories.paid(stripe, customer)
    stripe.books.delete_customer(customer)
    for event in stories.events(stripe):
        assert deliver(Client(), event) == 200
    another = checkout.customer_of(owner)
    assert another != customer
    stripe.books.refund(intent, 400)
    for event in stripe.books.events:
        assert deliver(Client(), event) == 200
    assert limit(owner) == 11 * DOLLAR, "what the old customer paid, and got back later, counts"


def test_the_clock_catches_what_webhooks_missed(stripe: FakeStripe, customer: str, owner: User, caplog: pytest.LogCaptureFixture) -> None:
    stripe.books.refund(stories.paid(stripe, customer), 250)
    tasks.sweep_payments()
    assert limit(owner) == 12_500_000
    assert "is the webhook set up?" in caplog.text
    caplog.clear()
    tasks.sweep_payments()
    assert caplog.text == ""
    assert set(StripeEvent.objects.values_list("type", flat=True)) <= set(collect.EVENT_TYPES)


def test_what_lies_long_ago_is_not_swept(stripe: FakeStripe, customer: str, owner: User) -> None:
    stories.paid(stripe, customer)
    for event in stripe.books.events:
        event["created"] -= int(timedelta(hours=4).total_seconds())
    assert collect.sweep() == 0
    assert limit(owner) == 5 * DOLLAR


def test_nothing_is_asked_of_anybody_without_a_key(stripe: FakeStripe, settings: Settings, db: None) -> None:
    settings.STRIPE_SECRET_KEY = ""
    tasks.sweep_payments()
    tasks.report_usage()
    assert stripe.requests == []


def test_a_wrong_key_is_an_error_that_says_so(stripe: FakeStripe, settings: Settings, owner: User) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_wrong"
    with pytest.raises(payments.PaymentsError, match="Invalid API Key"):
        checkout.customer_of(owner)


def test_customers_of_other_keys_are_made_anew(stripe: FakeStripe, customer: str, owner: User, client: Client) -> None:
    """As when an operator goes from test keys to live ones: nobody is kept from paying."""
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    del stripe.books.objects[customer]
    assert client.get("/billing/plans/").status_code == 200
    del stripe.books.objects[checkout.customer_of(owner)]
    answer = client.post("/billing/top-up/", {"micros": "5000000", "request_id": "r"})
    assert answer.headers["Location"].startswith(stripe.url)
    assert StripeCustomer.objects.filter(user=owner).count() == 3
    assert StripeCustomer.objects.get(user=owner, deleted_at=None).pk == checkout.customer_of(owner)
