"""Reporting what tenants used to Stripe, which then bills them: one meter event per ledger line, once.

A line is claimed by a row of its own before it is sent, and marked afterwards. Its id is the event's identifier, by which
Stripe refuses it a second time for at least 24 hours; a claim that was lost is sent again only within 23.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing import checkout
from billing.models import LedgerEntry, MeterReport
from billing.payments import PaymentsError

logger = logging.getLogger(__name__)

BATCH = 500
SETTLED = timedelta(minutes=1)  # lines this young may have older ones beside them whose transaction is not over
LOST = timedelta(minutes=15)  # a claim that is not marked by then was lost
SAFE = timedelta(hours=23)
OLDEST = timedelta(days=34)  # Stripe takes events of the last 35 days

CLAIM = """
INSERT INTO billing_meterreport (entry_id, customer_id, claimed_at, first_claimed_at)
SELECT line.id, customer.id, now(), now() FROM billing_ledgerentry line
JOIN billing_stripecustomer customer ON customer.user_id = line.user_id AND customer.deleted_at IS NULL
WHERE customer.metered_since <= line.created_at AND line.created_at > now() - make_interval(secs => %s)
  AND line.created_at < now() - make_interval(secs => %s) AND line.cost_micros > 0 AND line.key_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM billing_meterreport report WHERE report.entry_id = line.id)
ORDER BY line.created_at LIMIT %s
ON CONFLICT DO NOTHING RETURNING entry_id, customer_id
"""
RECLAIM = """
UPDATE billing_meterreport SET claimed_at = now()
WHERE reported_at IS NULL AND claimed_at < now() - make_interval(secs => %s) AND first_claimed_at > now() - make_interval(secs => %s)
RETURNING entry_id, customer_id
"""


def report() -> int:
    """Send what is due; how many lines. Stops at the first that Stripe does not take: the rest is sent next time."""
    sent = 0
    again = [LOST.total_seconds(), SAFE.total_seconds()]
    for claims in (_claimed(RECLAIM, again), _claimed(CLAIM, [OLDEST.total_seconds(), SETTLED.total_seconds(), BATCH])):
        for entry_id, customer_id in claims:
            try:
                _send(entry_id, customer_id)
            except PaymentsError as error:
                logger.warning("Usage is reported later: %s", error)
                return sent
            sent += 1
    return sent


def _claimed(statement: str, values: list[float]) -> list[tuple[UUID, str]]:
    """Lines and the customers they are to be reported for."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        claims: list[tuple[UUID, str]] = cursor.fetchall()
    return claims


def unreported(before: datetime | None = None) -> int:
    """Claims too old to be sent again safely: whether Stripe has them is for a person to see."""
    return MeterReport.objects.filter(reported_at=None, first_claimed_at__lt=before or timezone.now() - SAFE).count()


def _send(entry_id: UUID, customer_id: str) -> None:
    line = LedgerEntry.objects.get(pk=entry_id)
    payload = {"value": str(line.cost_micros), "key": str(line.key_id or ""), "model": line.model}
    checkout.report_usage(settings.STRIPE_METER, customer_id, str(entry_id), line.created_at, payload)
    MeterReport.objects.filter(pk=entry_id).update(reported_at=timezone.now())
