"""What can be bought: the amounts of a top-up, and the plans with a monthly refill, as the settings have them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from django.conf import settings


@dataclass(frozen=True)
class Plan:
    """A price at Stripe, and the credit that each paid period of it gives."""

    name: str
    price_id: str
    credit_micros: int


def parse(text: str) -> Plan:
    """`name:price_id:usd`. Raises ValueError with what is wrong."""
    name, _, rest = text.strip().rpartition(":price_")
    price_id, _, usd = rest.partition(":")
    try:
        plan = Plan(name.strip(), f"price_{price_id}", micros(usd))
    except ValueError as error:
        raise ValueError(text) from error
    if not plan.name or not price_id:
        raise ValueError(text)
    return plan


def micros(usd: str) -> int:
    """Raises ValueError, with the text, for what is not a positive amount in whole cents below a million."""
    try:
        amount = Decimal(usd)
    except InvalidOperation as error:
        raise ValueError(usd) from error
    if not amount.is_finite() or not 0 < amount < 1_000_000 or amount * 100 % 1:
        raise ValueError(usd)
    return int(amount * 1_000_000)


def offered() -> list[Plan]:
    return [parse(text) for text in settings.BILLING_PLANS]


def top_ups() -> list[int]:
    """In micro-dollars."""
    return [micros(text) for text in settings.TOP_UP_AMOUNTS_USD]
