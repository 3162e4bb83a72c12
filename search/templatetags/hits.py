"""Template tags of search results."""

from __future__ import annotations

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def marked(text: str, marks: list[tuple[int, int]]) -> SafeString:
    """`text` with what matched between <mark> and </mark>; the places are in order and do not overlap."""
    pieces, at = [], 0
    for begin, end in marks:
        pieces.append((text[at:begin], text[begin:end]))
        at = end
    return format_html("{}{}", format_html_join("", "{}<mark>{}</mark>", pieces), text[at:])
