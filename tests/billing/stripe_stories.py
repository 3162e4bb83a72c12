"""What can happen between a customer, a bank and Stripe, as short stories; and how their events are delivered.

A story does things at the fake and says what they are worth to the limit in the end, in micro-dollars.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.test import Client

from accounts.models import User
from billing.collect import EVENT_TYPES
from billing.models import Budget, LedgerEntry
from tests.billing.stripe_fixtures import WEBHOOK_SECRET
from tests.fake_stripe.delivery import encode, sign
from tests.fake_stripe.server import FakeStripe
from tests.fake_stripe.wire import Json

DOLLAR = 1_000_000
Story = Callable[[FakeStripe, str], int]


def paid(fake: FakeStripe, customer: str, dollars: int = 10) -> str:
    """A top-up, from the Checkout page to the money; its payment intent."""
    metadata = {"chatai": "top_up", "credit_micros": str(dollars * DOLLAR)}
    item = {"currency": "usd", "unit_amount": str(dollars * 100), "product_data": {"name": "credit"}}
    asked = {"mode": "payment", "customer": customer, "success_url": "http://x/", "line_items": [{"price_data": item}]}
    session = fake.api.make_session({**asked, "payment_intent_data": {"metadata": metadata}})
    return str(fake.books.pay(session["id"])["payment_intent"])


def price(number: int) -> str:
    return str(settings.BILLING_PLANS[number]).split(":")[1]


def subscribed(fake: FakeStripe, customer: str) -> str:
    """To the small plan, from the Checkout page to the first invoice; the subscription."""
    asked = {"mode": "subscription", "customer": customer, "success_url": "http://x/", "line_items": [{"price": price(0)}]}
    return str(fake.books.pay(fake.api.make_session(asked)["id"])["subscription"])


def top_up(fake: FakeStripe, customer: str) -> int:
    paid(fake, customer)
    return 10 * DOLLAR


def half_refunded(fake: FakeStripe, customer: str) -> int:
    fake.books.refund(paid(fake, customer), 500)
    return 5 * DOLLAR


def refunded_in_two_parts(fake: FakeStripe, customer: str) -> int:
    intent = paid(fake, customer)
    fake.books.refund(intent, 333)
    fake.books.refund(intent)
    return 0


def refund_that_failed(fake: FakeStripe, customer: str) -> int:
    fake.books.fail_refund(fake.books.refund(paid(fake, customer), status="pending")["id"])
    return 10 * DOLLAR


def dispute_lost(fake: FakeStripe, customer: str) -> int:
    fake.books.close_dispute(fake.books.dispute(paid(fake, customer))["id"], "lost")
    return 0


def dispute_won(fake: FakeStripe, customer: str) -> int:
    fake.books.close_dispute(fake.books.dispute(paid(fake, customer))["id"], "won")
    return 10 * DOLLAR


def mere_inquiry(fake: FakeStripe, customer: str) -> int:
    inquiry = fake.books.dispute(paid(fake, customer), status="warning_needs_response")
    fake.books.close_dispute(inquiry["id"], "warning_closed")
    return 10 * DOLLAR


def plan_with_a_renewal(fake: FakeStripe, customer: str) -> int:
    fake.books.renew(subscribed(fake, customer))
    return 50 * DOLLAR


def plan_refunded(fake: FakeStripe, customer: str) -> int:
    subscription = subscribed(fake, customer)
    (paying,) = fake.books.newest("invoice_payment")
    fake.books.refund(paying["payment"]["payment_intent"], 1000)
    assert subscription
    return 12_500_000  # half of the plan's credit


def plan_in_another_currency(fake: FakeStripe, customer: str) -> int:
    """Of the small plan, which is sold for 3,000 yen too: more yen than cents, and no more credit for them."""
    subscription = fake.books.subscribe(customer, price(0), 1, {}, "jpy")
    fake.books.renew(subscription["id"])
    return 50 * DOLLAR


STORIES: list[Story] = [
    top_up, half_refunded, refunded_in_two_parts, refund_that_failed, dispute_lost, dispute_won, mere_inquiry,
    plan_with_a_renewal, plan_refunded, plan_in_another_currency,
]  # fmt: skip


def events(fake: FakeStripe) -> list[Json]:
    """Those that the endpoint asks for, oldest first; of more than five, the last five: those that say most."""
    return [event for event in fake.books.events if event["type"] in EVENT_TYPES][-5:]


def deliver(client: Client, event: Json, secret: str = WEBHOOK_SECRET, at: float | None = None) -> int:
    return send(client, body := encode(event), sign(body, secret, at))


def send(client: Client, body: bytes, signature: str) -> int:
    answer = client.post("/billing/webhook", body, content_type="application/json", headers={"Stripe-Signature": signature})
    return int(answer.status_code)


def limit(user: User) -> int:
    found = Budget.objects.get(user=user).limit_micros
    assert found is not None
    return found


def lines(user: User) -> list[tuple[str, str, int]]:
    """What Stripe moved."""
    posted = LedgerEntry.objects.filter(user_id=user.pk).exclude(source__startswith="account:")
    return sorted(posted.values_list("source", "kind", "amount_micros"))
