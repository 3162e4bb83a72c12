"""What tokens cost: pure arithmetic in integer micro-dollars."""

from collections.abc import Mapping
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
    """Cost in micro-dollars, rounded up once at the end. Raises KeyError for a price that is missing: nothing is free by accident."""
    total = sum((Decimal(usage.get(tokens) or 0) * Decimal(price[kind]) for tokens, kind in KINDS.items() if usage.get(tokens)), Decimal(0))
    return int(total.to_integral_value(ROUND_CEILING))
