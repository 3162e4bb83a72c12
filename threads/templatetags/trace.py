"""Figures of a trace as a person reads them."""

from django import template

register = template.Library()


@register.filter
def span(seconds: float | None) -> str:
    """Seconds as 12 ms, 3.45 s or 2 min 05 s."""
    if seconds is None:
        return "–"
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


@register.filter
def money(micros: int | None) -> str:
    """Micro-dollars as dollars, with all digits that count."""
    if micros is None:
        return "no cap"
    whole, rest = f"{micros / 1_000_000:,.6f}".split(".")
    return f"${whole}.{rest[:2]}{rest[2:].rstrip('0')}"
