"""Stripe, and the only import of its SDK. What comes back are plain values; amounts in cents, as Stripe has them.

Nothing here is called inside a transaction. Every function raises PaymentsError when Stripe cannot be asked or refuses.

The SDK is imported where it is used: it takes aiohttp along, 5 MB that a process without payments has no use for.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    import stripe

TIMEOUT_SECONDS = (5.0, 20.0)  # to connect, and for an answer
RETRIES = 2
SIGNATURE_SECONDS = 300  # how old a webhook may be
TOP_UP = "top_up"
WHOLE_CURRENCIES = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"}
)
Json = dict[str, Any]


class PaymentsError(Exception):
    """Stripe could not be asked, or refused. The message is for the log, not for the page."""


class ForgedEventError(Exception):
    """A webhook that Stripe did not sign with our secret within the last five minutes, or that is no event."""


@dataclass(frozen=True)
class Event:
    """That something happened to an object. What it is like now is read again."""

    id: str
    type: str
    created: datetime
    object_type: str
    object_id: str


@dataclass(frozen=True)
class Returned:
    """A refund or a dispute: cents that left, and whether they came back since."""

    id: str
    cents: int
    gone: bool
    back: bool


@dataclass(frozen=True)
class Line:
    """A line of an invoice: so many cents of a price that costs `full_cents` per period, both in the invoice's currency."""

    price_id: str
    cents: int
    full_cents: int


@dataclass(frozen=True)
class Payment:
    """Money that a customer paid. A top-up names its credit; an invoice has lines. `total_cents` is before what the
    customer's balance at Stripe paid of it."""

    id: str
    customer_id: str
    cents: int
    total_cents: int
    top_up_micros: int
    lines: tuple[Line, ...]
    refunds: tuple[Returned, ...]
    disputes: tuple[Returned, ...]


def enabled() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


@cache
def _connect(key: str, base: str) -> stripe.StripeClient:
    import stripe

    http = stripe.RequestsClient(timeout=TIMEOUT_SECONDS)
    return stripe.StripeClient(key, base_addresses={"api": base}, max_network_retries=RETRIES, http_client=http)


def v1() -> Any:
    # Untyped: the SDK's parameter types know neither our API base nor plain dictionaries.
    return _connect(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE).v1


def invalid_request() -> type[stripe.InvalidRequestError]:
    """For an `except`: what Stripe says when something does not exist or does not fit."""
    import stripe

    return stripe.InvalidRequestError


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    import stripe

    try:
        yield
    except stripe.StripeError as error:
        raise PaymentsError(f"{what}: {type(error).__name__}: {error.user_message or error}") from error


# --- Webhooks -----------------------------------------------------------------------------------------------------------


def read_event(body: bytes, signature: str) -> Event:
    """Raises ForgedEventError. Any of the secrets in STRIPE_WEBHOOK_SECRET will do, so that one can be replaced."""
    try:
        if not any(_signed(body, signature, secret) for secret in settings.STRIPE_WEBHOOK_SECRETS):
            raise ForgedEventError("no valid signature")
        return _event(json.loads(body))
    except ValueError as error:  # not UTF-8, or not JSON
        raise ForgedEventError("not an event") from error


def _signed(body: bytes, signature: str, secret: str) -> bool:
    import stripe

    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, SIGNATURE_SECONDS)
    except stripe.SignatureVerificationError:
        return False
    return True


def recent_events(since: datetime, types: Sequence[str]) -> Iterator[Event]:
    """Newest first."""
    with asking("events"):
        page = v1().events.list({"created": {"gte": int(since.timestamp())}, "types": list(types), "limit": 100})
        for event in page.auto_paging_iter():
            yield _event(event.to_dict())


def _event(event: Json) -> Event:
    try:
        about = event["data"]["object"]
        at = datetime.fromtimestamp(event["created"], UTC)
        return Event(event["id"], event["type"], at, about["object"], about.get("id", ""))
    except (KeyError, TypeError, AttributeError) as error:
        raise ForgedEventError("not an event") from error


# --- What was paid ------------------------------------------------------------------------------------------------------


def payment_behind(object_type: str, object_id: str) -> Payment | None:
    """The payment that a Checkout session, charge, refund, dispute, invoice or payment intent is about, as it is now.

    None: it is not paid, or it is neither a top-up nor an invoice of a subscription.
    """
    with asking(f"{object_type} {object_id}"):
        match object_type:
            case "invoice":
                return _invoice(object_id)
            case "payment_intent":
                return _intent(object_id)
            case "checkout.session":
                session = v1().checkout.sessions.retrieve(object_id).to_dict()
                return _invoice(session["invoice"]) if session["invoice"] else _intent(session["payment_intent"])
            case "charge" | "refund" | "dispute":
                thing = getattr(v1(), f"{object_type}s").retrieve(object_id).to_dict()
                return _intent(thing["payment_intent"])
            case _:
                raise LookupError(object_type)


def _intent(intent_id: str | None) -> Payment | None:
    if intent_id is None:
        return None
    intent = v1().payment_intents.retrieve(intent_id).to_dict()
    metadata = intent["metadata"]
    if metadata.get("chatai") != TOP_UP:
        invoice_id = _invoice_paid_by(intent_id)
        return _invoice(invoice_id) if invoice_id else None
    if intent["status"] != "succeeded" or not intent["customer"]:
        return None
    paid = intent["amount_received"]
    return Payment(
        intent_id, intent["customer"], paid, paid, int(metadata["credit_micros"]), (), _refunds([intent_id]), _disputes([intent_id])
    )


def _invoice_paid_by(intent_id: str) -> str | None:
    found = v1().invoice_payments.list({"payment": {"type": "payment_intent", "payment_intent": intent_id}}).to_dict()["data"]
    return str(found[0]["invoice"]) if found else None


def _invoice(invoice_id: str) -> Payment | None:
    invoice = v1().invoices.retrieve(invoice_id, {"expand": ["payments"]})
    lines, invoice = [line.to_dict() for line in invoice.lines.auto_paging_iter()], invoice.to_dict()
    if invoice["status"] != "paid" or not invoice["customer"]:
        return None
    priced = [(line, (line.get("pricing") or {}).get("price_details")) for line in lines]
    payments = [one["payment"].get("payment_intent") for one in invoice["payments"]["data"] if one["status"] == "paid"]
    intents = [intent for intent in payments if intent]
    return Payment(
        invoice_id,
        invoice["customer"],
        invoice["amount_paid"],
        invoice["total"],
        0,
        tuple(
            Line(details["price"], line["amount"], price(details["price"]).cents_in(line["currency"]))
            for line, details in priced
            if details
        ),
        _refunds(intents),
        _disputes(intents),
    )


REFUND_GONE = ("pending", "requires_action", "succeeded", "failed", "canceled")
DISPUTE_GONE = ("needs_response", "under_review", "appeal_needs_response", "appeal_under_review", "lost", "won")


def _refunds(intent_ids: list[str]) -> tuple[Returned, ...]:
    return _returned("refunds", intent_ids, REFUND_GONE, ("failed", "canceled"))


def _disputes(intent_ids: list[str]) -> tuple[Returned, ...]:
    """Of a mere inquiry (`warning_…`) no money leaves."""
    return _returned("disputes", intent_ids, DISPUTE_GONE, ("won",))


def _returned(collection: str, intent_ids: list[str], gone: Sequence[str], back: Sequence[str]) -> tuple[Returned, ...]:
    # `gone` stays true of what came back: who reads an old state and who reads a new one then post lines that add up.
    pages = [getattr(v1(), collection).list({"payment_intent": intent, "limit": 100}) for intent in intent_ids]
    rows = [row.to_dict() for page in pages for row in page.auto_paging_iter()]
    return tuple(Returned(row["id"], row["amount"], row["status"] in gone, row["status"] in back) for row in rows)


@dataclass(frozen=True)
class Price:
    cents: int
    currency: str
    interval: str  # "" when it is paid once
    elsewhere: tuple[tuple[str, int], ...] = ()  # currency and cents, where it is sold in others too

    @property
    def amount(self) -> str:
        return said(self.cents, self.currency)

    def cents_in(self, currency: str) -> int:
        """Raises PaymentsError for a currency in which it is not sold: there is no rate to guess by."""
        amounts = {**dict(self.elsewhere), self.currency: self.cents}
        if currency not in amounts:
            raise PaymentsError(f"a price in {self.currency} has no amount in {currency}")
        return amounts[currency]


def said(cents: int, currency: str) -> str:
    """`$12.50`, `12.50 EUR`, `1,250 JPY`."""
    if currency in WHOLE_CURRENCIES:
        return f"{cents:,} {currency.upper()}"
    return f"${cents / 100:,.2f}" if currency == "usd" else f"{cents / 100:,.2f} {currency.upper()}"


def price(price_id: str) -> Price:
    """What it costs per period. Stripe never changes the amount of a price in a currency, so it is asked once."""
    with asking(f"price {price_id}"):
        return _price(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, price_id)


@cache
def _price(_key: str, _base: str, price_id: str) -> Price:
    found = v1().prices.retrieve(price_id, {"expand": ["currency_options"]}).to_dict()
    options = {currency: option["unit_amount"] or 0 for currency, option in (found.get("currency_options") or {}).items()}
    return Price(found["unit_amount"] or 0, found["currency"], (found["recurring"] or {}).get("interval", ""), tuple(options.items()))
