"""Background jobs: thin wrappers, and harmless however often they run."""

import logging

from celery import shared_task
from django.conf import settings

from billing import alerts, audit, collect, metering, payments

logger = logging.getLogger(__name__)


@shared_task(name="billing.sweep_payments")
def sweep_payments() -> None:
    """What webhooks missed, and customers of accounts that were closed."""
    if not payments.enabled():
        return
    try:
        missed = collect.sweep()
        collect.forget_customers()
    except payments.PaymentsError as error:
        logger.warning("Payments are swept the next time: %s", error)
        return
    if missed:
        logger.warning("%d events of Stripe came by the sweeper: is the webhook set up?", missed)


@shared_task(name="billing.send_alerts")
def send_alerts() -> None:
    """Who has reached 50, 80 or 100 % of their budget."""
    alerts.send_due()


@shared_task(name="billing.send_key_alerts")
def send_key_alerts() -> None:
    """Whose keys have reached as much of their caps."""
    alerts.send_due_of_keys()


@shared_task(name="billing.report_usage")
def report_usage() -> None:
    """What tenants used, to Stripe's meter."""
    if not (payments.enabled() and settings.STRIPE_METER):
        return
    metering.report()
    stuck = metering.unreported()
    if stuck:
        logger.error("%d ledger lines may not have reached Stripe's meter: see docs/operations.md", stuck)


@shared_task(name="billing.check_ledger")
def check_ledger() -> None:
    """The nightly proof; what differs is in the log, in the admin and in /metrics."""
    audit.check()
