"""What is asked of Stripe on behalf of somebody who wants to pay: a customer, hosted pages, what they bought, usage.

Every function raises `payments.PaymentsError`. Hosted pages are addresses to send the browser to; nothing is paid here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing import payments
from billing.models import StripeCustomer
from billing.payments import TOP_UP, asking, v1
from billing.plans import Plan

CENT = 10_000  # micro-dollars
LISTED = 24
ENDED = ("canceled", "incomplete", "incomplete_expired")


@dataclass(frozen=True)
class Bill:
    """An invoice of a plan, or the receipt of a top-up."""

    at: datetime
    name: str
    cents: int
    currency: str
    status: str
    url: str
    pdf: str

    @property
    def amount(self) -> str:
        return payments.said(self.cents, self.currency)


@dataclass(frozen=True)
class Subscription:
    price_id: str
    status: str
    renews: datetime
    ending: bool


def customer_of(user: User) -> str:
    """The user's customer at Stripe, made when there is none yet."""
    known = StripeCustomer.objects.filter(user=user, deleted_at=None).first()
    if known:
        return known.id
    # One customer however often this is sent at once, and another one after that was deleted over there.
    key = f"customer-{user.pk}-{StripeCustomer.objects.filter(user=user).count()}"
    with asking("customer"):
        made = v1().customers.create({"email": user.email, "name": user.name}, {"idempotency_key": key}).to_dict()
    with transaction.atomic():
        row, _ = StripeCustomer.objects.get_or_create(pk=made["id"], defaults={"user": user})
    return row.id


def _for_customer(user: User, what: str, ask: Callable[[str], Any]) -> Any:
    """What `ask` brings for the user's customer; for a new one when Stripe does not know it: deleted there, or of other keys."""
    with asking(what):
        try:
            return ask(customer_of(user))
        except payments.invalid_request() as error:
            if (error.code, error.param) != ("resource_missing", "customer"):
                raise
        StripeCustomer.objects.filter(user=user, deleted_at=None).update(deleted_at=timezone.now())
        return ask(customer_of(user))


def top_up_page(user: User, micros: int, request_id: str, done_url: str, back_url: str, site: str) -> str:
    """Checkout for a top-up. The same `request_id` again gives the same page."""
    metadata = {"chatai": TOP_UP, "credit_micros": str(micros)}
    item = {"currency": "usd", "unit_amount": micros // CENT, "product_data": {"name": f"{site} credit"}}
    rest = {"payment_intent_data": {"metadata": metadata}, "metadata": metadata, "line_items": [{"price_data": item, "quantity": 1}]}
    return _session_page(user, "payment", request_id, done_url, back_url, rest)


def plan_page(user: User, plan: Plan, request_id: str, done_url: str, back_url: str) -> str:
    """Checkout for a subscription."""
    return _session_page(user, "subscription", request_id, done_url, back_url, {"line_items": [{"price": plan.price_id, "quantity": 1}]})


def _session_page(user: User, mode: str, request_id: str, done_url: str, back_url: str, rest: dict[str, Any]) -> str:
    def page(customer: str) -> Any:
        asked = {"mode": mode, "customer": customer, "success_url": done_url, "cancel_url": back_url, **rest}
        return v1().checkout.sessions.create(asked, {"idempotency_key": f"checkout-{customer}-{request_id}"}).url

    return str(_for_customer(user, "Checkout session", page))


def buyer(session_id: str) -> str | None:
    """The customer of a Checkout session; None when there is no such session."""
    with asking(f"session {session_id}"):
        try:
            return str(v1().checkout.sessions.retrieve(session_id).customer)
        except payments.invalid_request():
            return None


def portal_page(user: User, back_url: str) -> str:
    """Where customers change their card, their plan, or cancel it."""

    def page(customer: str) -> Any:
        return v1().billing_portal.sessions.create({"customer": customer, "return_url": back_url}).url

    return str(_for_customer(user, "portal session", page))


def subscriptions(user: User) -> list[Subscription]:
    """Those that go on."""
    if not is_customer(user):
        return []
    rows = _for_customer(user, "subscriptions", lambda customer: _listed("subscriptions", customer))
    return [_subscription(row) for row in rows if row["status"] not in ENDED]


def is_customer(user: User) -> bool:
    return StripeCustomer.objects.filter(user=user, deleted_at=None).exists()


def _listed(collection: str, customer: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = getattr(v1(), collection).list({"customer": customer, "limit": LISTED}).to_dict()["data"]
    return rows


def _subscription(row: dict[str, Any]) -> Subscription:
    (item, *_) = row["items"]["data"]
    renews = datetime.fromtimestamp(item["current_period_end"], UTC)
    return Subscription(item["price"]["id"], row["status"], renews, row["cancel_at_period_end"] or bool(row["cancel_at"]))


def bills(user: User) -> list[Bill]:
    """Newest first, the last two dozen of each kind."""
    if not is_customer(user):
        return []
    invoices = _for_customer(user, "invoices", lambda customer: _listed("invoices", customer))
    charges = _for_customer(user, "charges", lambda customer: _listed("charges", customer))
    found = [_invoice(row) for row in invoices if row["status"] != "draft"]
    found += [_receipt(row) for row in charges if row["metadata"].get("chatai") == TOP_UP and row["status"] == "succeeded"]
    return sorted(found, key=lambda bill: bill.at, reverse=True)


def _invoice(row: dict[str, Any]) -> Bill:
    at, name = datetime.fromtimestamp(row["created"], UTC), f"Plan, invoice {row['number']}"
    return Bill(at, name, row["total"], row["currency"], row["status"], row["hosted_invoice_url"] or "", row["invoice_pdf"] or "")


def _receipt(row: dict[str, Any]) -> Bill:
    status = "refunded" if row["refunded"] else "disputed" if row["disputed"] else "partly refunded" if row["amount_refunded"] else "paid"
    at = datetime.fromtimestamp(row["created"], UTC)
    return Bill(at, "Top-up", row["amount"], row["currency"], status, row["receipt_url"] or "", "")


def delete_customer(customer_id: str) -> None:
    """For good: Stripe ends every subscription of theirs at once."""
    with asking(f"customer {customer_id}"):
        v1().customers.delete(customer_id)


def is_deleted(customer_id: str) -> bool:
    with asking(f"customer {customer_id}"):
        return bool(v1().customers.retrieve(customer_id).to_dict().get("deleted"))


def report_usage(event_name: str, customer_id: str, identifier: str, at: datetime, payload: dict[str, str]) -> None:
    """One meter event. Stripe refuses an identifier that it has: then it was delivered before, which is as good."""
    event = {"event_name": event_name, "identifier": identifier, "timestamp": int(at.timestamp())}
    with asking(f"meter event {identifier}"):
        try:
            v1().billing.meter_events.create(event | {"payload": {"stripe_customer_id": customer_id, **payload}})
        except payments.invalid_request() as error:
            if "already exists with identifier" not in str(error):
                raise
