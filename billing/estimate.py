"""What a call can cost at most, before it is made. Tokens are bounded from bytes, because no tokenizer makes more tokens than bytes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import msgspec

from billing.pricing import rates
from billing.versions import recorded

FEWEST = 256  # tokens of output; a call that cannot pay for these is not made (contract, decision 4)
FRAME_TOKENS = 100  # what providers add of their own: roles, separators, the beginning of the answer
TOOLS_TOKENS = 800  # the words with which they introduce tools
HOLD_LEASE = "30 seconds"  # after that a hold is freed unless its turn still waits or runs
IMAGE_TOKENS = 5000  # the most that a provider counts for one picture


def input_bound(messages: list[dict[str, Any]], system: Any, tools: list[dict[str, Any]], window: int) -> int:
    """The most tokens that the provider can count as input; more than the window it refuses, free of charge."""
    size = FRAME_TOKENS + content_bound(messages, window) + (len(msgspec.json.encode(system)) if system else 0)
    size += TOOLS_TOKENS + len(msgspec.json.encode(tools)) if tools else 0
    return min(size, window)


def content_bound(value: Any, window: int) -> int:
    """The same of messages or blocks alone. A picture counts as one, a document that is no text as the whole window."""
    size = len(msgspec.json.encode(value))
    for source, kind in _files(value):
        if source.get("type") != "text":
            size += IMAGE_TOKENS if kind == "image" else window
            size -= len(msgspec.json.encode(source.get("data", "")))
    return size


def _files(value: Any) -> list[tuple[dict[str, Any], str]]:
    """Every source of a picture or document, with its block's type, in tool results too."""
    if isinstance(value, list):
        return [found for item in value for found in _files(item)]
    if not isinstance(value, dict):
        return []
    if value.get("type") in ("image", "document"):
        return [(value.get("source") or {}, value["type"])]
    return _files(value.get("content"))


def most_micros(price: Mapping[str, str], input_tokens: int, max_tokens: int) -> int:
    """The whole price of a call that is as long as it can be."""
    fresh, output = rates(price, input_tokens)
    return int((fresh * input_tokens + output * max_tokens).to_integral_value(ROUND_CEILING))


def affordable(price: Mapping[str, str], input_tokens: int, micros: int) -> int:
    """How many tokens of output `micros` pays for beside the input; negative when not even that."""
    fresh, output = rates(price, input_tokens)
    left = micros - fresh * input_tokens
    if output == 0:
        return 2**31 - 1 if left >= 0 else -1
    return int((left / output).to_integral_value(ROUND_FLOOR))


def fewest(max_tokens: int, options: Mapping[str, Any]) -> int:
    """The least output worth asking for: 256 tokens behind what it is told to think, or less if less was asked for."""
    thinking = options.get("thinking") or {}
    thought = int(thinking.get("budget_tokens") or 0) if thinking.get("type") == "enabled" else 0
    return min(max_tokens, thought + FEWEST)


def rate_values(price: Mapping[str, str], input_tokens: int) -> dict[str, Decimal]:
    """Parameters of the statements that reserve."""
    fresh, output = rates(price, input_tokens)
    return {"input_rate": fresh, "output_rate": output}


def admit_values(
    model: str,
    price: Mapping[str, str],
    question: Any,
    system: Any,
    options: Mapping[str, Any],
    window: int,
    max_tokens: int,
    tools_bytes: int = 0,
) -> dict[str, Any]:
    """Parameters of `statements.ADMIT_GATES`: the question and what goes before it, without the conversation so far."""
    tokens = input_bound([{"role": "user", "content": question}], system, [], window)
    tokens = min(tokens + TOOLS_TOKENS + tools_bytes, window) if tools_bytes else tokens
    return {
        "hold_kind": "turn",
        "hold_lease": HOLD_LEASE,
        "most_input": window,
        "input_tokens": tokens,
        "max_tokens": max_tokens,
        "fewest": fewest(max_tokens, options),
        "price_version": recorded(model, price),
        **rate_values(price, tokens),
    }
