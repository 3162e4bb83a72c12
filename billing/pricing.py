"""What tokens cost: pure arithmetic in integer micro-dollars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

# Usage field → price field. Prices are USD per million tokens, which is the same number as micro-dollars per token.
KINDS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_write",
}


def cost_micros(usage: Mapping[str, Any], price: Mapping[str, str]) -> int:
    """Cost of one call in micro-dollars, rounded up once at the end. Raises KeyError for a price that is missing: nothing is free
    by accident."""
    return rounded_up([exact_micros(usage, price)])


def rounded_up(costs: Iterable[Decimal]) -> int:
    """What calls cost together, in whole micro-dollars."""
    return int(sum(costs, Decimal(0)).to_integral_value(ROUND_CEILING))


def exact_micros(usage: Mapping[str, Any], price: Mapping[str, str]) -> Decimal:
    """Cost of one call before it is rounded."""
    prompt = sum(usage.get(kind) or 0 for kind in KINDS if kind != "output_tokens")
    prefix = tier(price, prompt)
    counted = ((usage[tokens], prefix + kind) for tokens, kind in KINDS.items() if usage.get(tokens))
    return sum((Decimal(tokens) * Decimal(price[kind]) for tokens, kind in counted), Decimal(0))


def tier(price: Mapping[str, str], prompt_tokens: int) -> str:
    """Prefix of the kinds that a prompt of this length is charged by: `long_` for one longer than the price's `long_above`."""
    return "long_" if "long_above" in price and prompt_tokens > int(price["long_above"]) else ""


def rates(price: Mapping[str, str], input_tokens: int) -> tuple[Decimal, Decimal]:
    """Micro-dollars per token of (input, output), the dearest way the input can be counted."""
    prefix = tier(price, input_tokens)
    return max(Decimal(price[prefix + kind]) for kind in KINDS.values() if kind != "output"), Decimal(price[f"{prefix}output"])
