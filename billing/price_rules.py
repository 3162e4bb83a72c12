"""What a price must be before anybody is charged by it. Pure; every way in (admin form, seed, version) asks here.

A price is a flat dict of decimal strings, USD per million tokens. The four kinds of `KINDS` are always there. A model whose
long prompts cost more has all of `LONG` too: `long_above` is a number of tokens, and when the prompt of one call (fresh, read
from a cache and written to one) is longer, each token of that call is charged by the `long_` kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

KINDS = ("input", "output", "cache_read", "cache_write")
LONG = ("long_above", *(f"long_{kind}" for kind in KINDS))
HIGHEST = Decimal(100_000)  # USD per million tokens: ten cents a token; beyond it somebody typed the wrong unit
DECIMALS = 6
LOCAL_PROVIDERS = frozenset({"ollama", "demo"})  # run on the operator's own machine, so zero can be meant


def problems(price: Mapping[str, object], provider: str) -> list[str]:
    """Why nobody may be charged by this price, as sentences; empty when it is complete and sane."""
    return [*_incomplete(price), *_impossible(price), *_free(price, provider), *_cheaper_when_long(price)]


def _incomplete(price: Mapping[str, object]) -> Iterator[str]:
    for kind in KINDS:
        if price.get(kind) is None:
            yield f"The price {_named(kind)} is missing: without it these tokens would be free."
    given = [kind for kind in LONG if price.get(kind) is not None]
    if given and len(given) < len(LONG):
        missing = ", ".join(_named(kind) for kind in LONG if kind not in given)
        yield f"A higher price for long prompts is all or nothing; missing: {missing}."


def _impossible(price: Mapping[str, object]) -> Iterator[str]:
    for kind, value in price.items():
        if kind == "long_above":
            if value is not None and not (str(value).isascii() and str(value).isdigit() and int(str(value)) > 0):
                yield "The prompt length above which the higher price counts is a whole number of tokens, at least 1."
        elif kind not in KINDS and kind not in LONG:
            yield f"There is no price called {kind!r}."
        elif value is not None and (why := _wrong(value)):
            yield f"The price {_named(kind)} {why}."


def _wrong(value: object) -> str:
    """What is wrong with one figure; empty when nothing is."""
    if isinstance(value, float | bool):  # a binary fraction is not what was written down
        return "has to be a decimal in quotes"
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return f"is not a number: {value}"
    if not number.is_finite():
        return f"is not a number that can be charged: {value}"
    if number < 0:
        return "is negative: using the model would earn money"
    if number > HIGHEST:
        return f"is over {HIGHEST:,} USD per million tokens; it is per million, not per token"
    if number != round(number, DECIMALS):
        return f"has more than {DECIMALS} decimals"
    return ""


def _free(price: Mapping[str, object], provider: str) -> Iterator[str]:
    if provider in LOCAL_PROVIDERS:
        return
    for kind in (*KINDS, *LONG[1:]):
        value = price.get(kind)
        if value is not None and not _wrong(value) and Decimal(str(value)) == 0:
            local = " and ".join(sorted(LOCAL_PROVIDERS))
            yield f"The price {_named(kind)} is zero: only models of {local} may be free."


def _cheaper_when_long(price: Mapping[str, object]) -> Iterator[str]:
    """Long prompts cost more wherever they differ; the other way round the two were mixed up."""
    for kind in KINDS:
        short, long = price.get(kind), price.get(f"long_{kind}")
        if short is None or long is None or _wrong(short) or _wrong(long):
            continue
        if Decimal(str(long)) < Decimal(str(short)):
            yield f"The price {_named(f'long_{kind}')} is below the one {_named(kind)}."


def _named(kind: str) -> str:
    names = {"cache_read": "of cached input", "cache_write": "of caching input", "long_above": "the length"}
    if kind in names:
        return names[kind]
    if kind.startswith("long_"):
        return f"{_named(kind.removeprefix('long_'))} of long prompts"
    return f"of {kind}"
