"""Template tags of the conversation pages."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chatai.lib.icons import icon

if TYPE_CHECKING:
    from datetime import datetime

    from threads.models import Thread

register = template.Library()

ROW = (
    '<li id="thread-{id}" data-thread="{id}" data-active="{active}"{pinned}{state}><a href="/c/{id}"{current}>'
    '<span class="name">{name}</span>{mark}</a><button class="icon-button small" type="button" data-thread-menu aria-haspopup="menu"'
    ' aria-label="Options for {name}">{more}</button></li>'
)
MARK = '<span class="{}" title="{}"><span class="visually-hidden">{}</span></span>'


@register.simple_tag
def thread_link(thread: Thread, current_id: UUID | None = None) -> SafeString:
    """A row of the sidebar, on pages and in frames. No template: it is drawn at every step of every turn, and that took ten times as
    long. The thread that is open is never marked as unread.
    """
    current = thread.id == current_id
    state = "running" if thread.running else "unread" if thread.unread and not current else ""
    return _row(thread.id, thread.title, thread.last_active_at, thread.pinned_at, state, current)


@lru_cache(maxsize=4096)
def _row(thread_id: UUID, title: str, active_at: datetime, pinned_at: datetime | None, state: str, current: bool) -> SafeString:
    marks = {"running": ("spinner", "Answering", "Answering"), "unread": ("unread", "New answer", "New answer")}
    return format_html(
        ROW,
        id=thread_id,
        name=title or "New chat",
        active=int(active_at.timestamp()),
        pinned=format_html(' data-pinned="{}"', int(pinned_at.timestamp())) if pinned_at else "",
        state=format_html(" data-{}", state) if state else "",
        current=format_html(' aria-current="{}"', "page") if current else "",
        mark=format_html(MARK, *marks[state]) if state else "",
        more=icon("more", "small"),
    )
