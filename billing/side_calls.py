"""Calls beside the turns: titles, summaries, embeddings. Each holds its whole price, or is not made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from billing.estimate import most_micros, rate_values
from billing.pricing import cost_micros
from billing.versions import version_id
from chatai.lib.ids import uuid7

logger = logging.getLogger(__name__)

LEASE = "300 seconds"  # longer than any of these calls takes


@dataclass(frozen=True, slots=True)
class SideCall:
    """What is asked, for whom, and how long it can be at most."""

    kind: str  # title, summary, embedding, tool
    user_id: UUID
    key_id: UUID | None
    thread_id: UUID | None
    provider: str
    model: str
    price: Mapping[str, str]
    input_tokens: int
    max_tokens: int
    turn_id: UUID | None = None
    end_user_id: str | None = None
    id: UUID = field(default_factory=uuid7)


def reserve_values(call: SideCall) -> dict[str, Any]:
    """Parameters of `statements.RESERVE`."""
    return {
        "hold": call.id,
        "hold_kind": call.kind,
        "hold_lease": LEASE,
        "user": call.user_id,
        "key": call.key_id,
        "input_tokens": call.input_tokens,
        "max_tokens": call.max_tokens,
        "fewest": call.max_tokens,
        "so_far": 0,
        "model": call.model,
        "price": msgspec.json.encode(dict(call.price), order="deterministic").decode(),
        "price_version": version_id(call.model, call.price),
        **rate_values(call.price, call.input_tokens),
    }


def settle_values(call: SideCall, usage: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of `statements.SETTLE`."""
    cost = capped(cost_micros(usage, call.price), most_micros(call.price, call.input_tokens, call.max_tokens), call.id)
    return {
        "hold": call.id,
        "user": call.user_id,
        "key": call.key_id,
        "end_user": call.end_user_id,
        "thread": call.thread_id,
        "turn": call.turn_id,
        "context_tokens": None,
        **line_values(usage, cost, call.provider, call.model),
    }


def line_values(usage: Mapping[str, Any], cost: int, provider: str, model: str) -> dict[str, Any]:
    """What every settling statement says of its line. Without any usage there is no line: nothing was asked."""
    return {
        "line": uuid7(),
        "asked": bool(usage),
        "cost": cost,
        "provider": provider,
        "model": model,
        "input_tokens": usage.get("input_tokens") or 0,
        "output_tokens": usage.get("output_tokens") or 0,
        "cache_read_tokens": usage.get("cache_read_input_tokens") or 0,
        "cache_write_tokens": usage.get("cache_creation_input_tokens") or 0,
        "estimated": bool(usage.get("estimated")),
    }


def capped(cost: int, held: int, hold_id: UUID) -> int:
    """Never more than was held, whatever a provider says it counted; that it did must be read by somebody."""
    if cost > held:
        logger.error("hold %s: the provider counted %s micro-dollars, %s were held and are charged", hold_id, cost, held)
    return min(cost, held)
