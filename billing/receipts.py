"""What a payment means for the limit of whoever paid: pure arithmetic in integer micro-dollars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from billing.models import LedgerEntry
from billing.payments import Payment, Returned

Kind = LedgerEntry.Kind


@dataclass(frozen=True)
class Posting:
    """A movement of the limit, posted once per `source`. Refunds and disputes lower it."""

    source: str
    kind: str
    amount_micros: int
    reason: str


def credit_of(payment: Payment, plans: Mapping[str, int]) -> Posting | None:
    """What it adds. `plans` are the micro-dollars that a full period of each price gives.

    An invoice gives its plans' credit in the share in which their prices are on it, and of that the share that was paid in
    money: what the customer's balance at Stripe paid was credited when it came to be, when it was money.
    """
    if payment.top_up_micros:
        return Posting(payment.id, Kind.CREDIT, payment.top_up_micros, "Top-up")
    full = sum(plans[line.price_id] * line.cents // line.full_cents for line in payment.lines if line.price_id in plans and line.full_cents)
    if full > 0 and payment.total_cents > 0:
        full = full * min(payment.cents, payment.total_cents) // payment.total_cents
    return Posting(payment.id, Kind.SUBSCRIPTION, full, "Plan") if full > 0 else None


def taken_back(payment: Payment, credited_micros: int) -> list[Posting]:
    """What refunds and disputes take from it, and what came back, in proportion to the money.

    Both directions are posted of what came back, whichever of its states was seen first: any order ends the same.
    """
    found = [
        *_both(payment.refunds, Kind.REFUND, "Refund", "failed", "Refund failed"),
        *_both(payment.disputes, Kind.DISPUTE, "Disputed payment", "won", "Dispute won"),
    ]
    if not payment.cents:
        return []
    shares = [(source, kind, credited_micros * cents // payment.cents, reason) for source, kind, cents, reason in found]
    return [Posting(*share) for share in shares if share[2] > 0]


def _both(rows: tuple[Returned, ...], kind: str, reason: str, ending: str, ended: str) -> list[tuple[str, str, int, str]]:
    out = [(row.id, kind, row.cents, reason) for row in rows if row.gone]
    return out + [(f"{row.id}:{ending}", str(Kind.CREDIT), row.cents, ended) for row in rows if row.back]
