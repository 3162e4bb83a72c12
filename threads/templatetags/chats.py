"""Template tags of the conversation pages."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

if TYPE_CHECKING:
    from threads.models import Thread

register = template.Library()

ROW_FIELDS = ("id", "title", "last_active_at", "pinned_at", "running", "unread")


@register.simple_tag
def thread_link(thread: Thread, current_id: UUID | None = None) -> SafeString:
    """A row of the sidebar. Drawing fifty of them would be half the cost of a page, and few change between two pages."""
    return _row(thread.id == current_id, *(getattr(thread, name) for name in ROW_FIELDS))


@lru_cache(maxsize=4096)
def _row(current: bool, *fields: Any) -> SafeString:
    # Keyed by all that the partial may show, so a row in the cache is never an old one.
    thread = SimpleNamespace(**dict(zip(ROW_FIELDS, fields, strict=True)))
    return render_to_string("threads/_thread_link.html", {"thread": thread, "current_id": thread.id if current else None})
