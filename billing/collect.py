"""Bringing what was paid at Stripe into the ledger.

An event only says that something happened. What is posted follows from the state of the payment, read anew: each movement
once by its source, and in any order of events, however often they come and wherever a process dies, the same lines.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing import actions, checkout, payments, plans, receipts
from billing.models import LedgerEntry, StripeCustomer, StripeEvent
from billing.payments import Event, Payment, PaymentsError

logger = logging.getLogger(__name__)

# What the endpoint at Stripe should send (docs/operations.md lists them); anything else is answered and forgotten.
EVENT_TYPES = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "payment_intent.succeeded",
    "invoice.paid",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "customer.deleted",
)
SWEPT = timedelta(hours=3)


def apply_event(event: Event) -> str:
    """Post what the event's object calls for; what came of it, in words. Raises PaymentsError, with nothing changed."""
    if event.type not in EVENT_TYPES:
        return "not needed"
    if StripeEvent.objects.filter(pk=event.id, applied_at__isnull=False).exists():
        return "applied before"
    # Read before the transaction: none is held across the network. What turns old meanwhile posts less, never wrongly.
    gone = event.type == "customer.deleted" and checkout.is_deleted(event.object_id)
    payment = None if event.type == "customer.deleted" else payments.payment_behind(event.object_type, event.object_id)
    with transaction.atomic():
        seen = {"type": event.type, "object_id": event.object_id, "created": event.created}
        row, _ = StripeEvent.objects.select_for_update().get_or_create(pk=event.id, defaults=seen)
        if row.applied_at:
            return "applied before"
        if gone:
            StripeCustomer.objects.filter(pk=event.object_id, deleted_at=None).update(deleted_at=timezone.now())
        row.outcome = "customer deleted" if gone else _post(payment)
        row.applied_at = timezone.now()
        row.save(update_fields=["outcome", "applied_at"])
    return row.outcome


def collect_session(user: User, session_id: str) -> bool:
    """Post what the user paid in that Checkout session, without waiting for the event; whether it is paid.

    Raises PaymentsError, and StripeCustomer.DoesNotExist when the session is none of theirs.
    """
    StripeCustomer.objects.get(user=user, pk=checkout.buyer(session_id))
    payment = payments.payment_behind("checkout.session", session_id)
    with transaction.atomic():
        _post(payment)
    return payment is not None


def sweep() -> int:
    """Apply what was missed of the last hours: a webhook that is wrongly set up then costs minutes, not money. How many."""
    types = EVENT_TYPES
    missed = 0
    for event in list(payments.recent_events(timezone.now() - SWEPT, types)):
        if StripeEvent.objects.filter(pk=event.id, applied_at__isnull=False).exists():
            continue
        try:
            apply_event(event)
        except PaymentsError as error:
            logger.warning("%s %s is left for the next time: %s", event.type, event.id, error)
        else:
            missed += 1
    return missed


def forget_customers() -> None:
    """Delete the customers of closed accounts at Stripe, which ends their plans. Raises PaymentsError."""
    for customer in StripeCustomer.objects.filter(user=None, deleted_at=None)[:100]:
        checkout.delete_customer(customer.pk)
        StripeCustomer.objects.filter(pk=customer.pk).update(deleted_at=timezone.now())


def _post(payment: Payment | None) -> str:
    if payment is None:
        return "nothing paid"
    owner = StripeCustomer.objects.filter(pk=payment.customer_id).select_related("user").first()
    if owner is None or owner.user is None:
        return "nobody's payment"
    posted = []
    first = receipts.credit_of(payment, {plan.price_id: plan.credit_micros for plan in plans.offered()})
    if first:
        posted.append(_once(owner.user, first))
    # Shares are of what was credited then, whatever the plan gives today.
    credited = LedgerEntry.objects.filter(source=payment.id).first()
    if credited:
        posted += [_once(owner.user, posting) for posting in receipts.taken_back(payment, credited.amount_micros)]
    return f"{sum(posted)} posted of {len(posted)}"


def _once(user: User, posting: receipts.Posting) -> bool:
    return actions.credit(user, posting.amount_micros, posting.kind, posting.source, posting.reason) is not None
