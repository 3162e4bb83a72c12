"""Figures of a trace as a person reads them."""

from django import template

from chatai.lib.admin import money

register = template.Library()
register.filter(money)


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
