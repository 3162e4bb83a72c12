"""Template tags of every page: the icon set and small ways of saying numbers."""

from datetime import datetime
from typing import Any

from django import template

from chatai.lib.icons import icon

register = template.Library()

register.simple_tag(icon)


@register.filter
def dollars(micros: int | None, digits: int = 2) -> str:
    """Micro-dollars as dollars. What is not nothing never looks like nothing: under a cent it has four digits at least, and all
    six where the first four are zeros."""
    amount = (micros or 0) / 1_000_000
    if not amount or amount >= 0.01:
        return f"${amount:,.{digits}f}"
    return f"${amount:.{max(digits, 4 if amount >= 0.0001 else 6)}f}"


@register.filter
def balance(micros: int | None) -> str:
    """What is left: whole cents as such, else four digits, so that an answer is seen to lower it; cut off, never more than there is."""
    if not micros or micros < 10_000:
        return dollars(micros)
    shown = micros // 100 * 100
    return dollars(shown, 4 if shown % 10_000 else 2)


READ = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@register.filter
def tokens_read(usage: dict[str, Any] | None) -> int:
    """All that the model read, from its cache or not."""
    return sum(int((usage or {}).get(kind) or 0) for kind in READ)


@register.filter
def context_tokens(usage: dict[str, Any] | None) -> int:
    """How much of the context window the conversation filled at this answer: all that was read, and what was written."""
    return tokens_read(usage) + int((usage or {}).get("output_tokens") or 0)


@register.filter
def number(count: int) -> str:
    return f"{count:,}"


@register.filter
def tokens(count: int) -> str:
    return f"{count:,} token{'' if count == 1 else 's'}"


# Django's own `date` takes 40 microseconds, and a page has a hundred of these.
@register.filter
def iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


@register.filter
def moment(at: datetime) -> str:
    """Day and time as the server has it; the page's script says it in the reader's own zone."""
    return f"{at.day} {at:%b, %H:%M}"
