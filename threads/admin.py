"""The admin's view of conversations: everything readable and linked, nothing writable but the catalogue of models.

Reading a thread, a turn, a message or a tool call is recorded in its owner's history (see reading_admin.py).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from accounts.models import User
from billing.models import LedgerEntry, Reservation
from chatai.lib.admin import BaseAdmin, ReadOnlyAdmin, as_uuid, link, money, tail
from threads import chain, timeline, trace
from threads.curve import draw
from threads.models import CatalogModel, Message, Runner, Thread, Turn
from threads.operations import PRICES
from threads.reading_admin import ConversationAdmin, users_like
from threads.templatetags.trace import span
from threads.tool_admin import ToolCallAdmin

__all__ = ["CatalogModelAdmin", "MessageAdmin", "RunnerAdmin", "ThreadAdmin", "ToolCallAdmin", "TurnAdmin"]

NEWEST_TURNS = 50


@admin.register(Thread)
class ThreadAdmin(ConversationAdmin):
    list_display = ("thread", "person", "turn_count", "last_seq", "model", "last_active", "state")
    list_select_related = ("user",)
    search_help_text = "A thread id, a turn id, a request id, or an e-mail address (its start will do, with the @)."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Thread]:
        return super().get_queryset(request).select_related("user", "key", "active_turn")

    def find(self, rows: QuerySet[Thread], term: str) -> QuerySet[Thread]:
        if "@" in term:
            return rows.filter(user__in=users_like(term))
        # Fetched first: an OR with a subquery would read the whole table.
        turns = Turn.objects.filter(Q(request_id=term) | Q(pk=as_uuid(term)))
        named = list(turns.values_list("thread", flat=True)[:NEWEST_TURNS])
        return rows.filter(pk__in=[*named, as_uuid(term)])

    def owner_of(self, obj: Thread) -> User:
        return obj.user

    def trace_context(self, obj: Thread) -> dict[str, Any]:
        turns = list(obj.turns.order_by("-number")[:NEWEST_TURNS])
        questions = Message.objects.filter(turn__in=turns, role=Message.Role.USER).values_list("turn", "content")
        asked = {turn: trace.words(content) for turn, content in questions}
        return {"turns": [(turn, asked.get(turn.pk, "")) for turn in turns], "metadata": trace.pretty(obj.metadata)}

    @admin.display(description="user")
    def person(self, thread: Thread) -> str:
        return link("accounts_user", thread.user_id, thread.user)

    @admin.display
    def thread(self, thread: Thread) -> str:
        return tail(thread.pk)

    @admin.display
    def last_active(self, thread: Thread) -> str:
        return _second(thread.last_active_at)

    @admin.display
    def state(self, thread: Thread) -> str:
        if thread.deleted_at:
            return "deleted"
        return "running" if thread.active_turn_id else "archived" if thread.archived_at else ""


class StateFilter(admin.SimpleListFilter):
    """Only what an index answers: the live ones, and the ends of one day."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        live = [(status.value, str(status.label)) for status in (Turn.Status.QUEUED, Turn.Status.RUNNING, Turn.Status.WAITING)]
        ends = (Turn.Status.FAILED, Turn.Status.INTERRUPTED, Turn.Status.STOPPED, Turn.Status.DONE)
        return live + [(status.value, f"{status.label} in the last day") for status in ends]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Turn]) -> QuerySet[Turn]:
        if self.value() in (Turn.Status.QUEUED, Turn.Status.RUNNING, Turn.Status.WAITING):
            return queryset.filter(status=self.value())
        if self.value() in Turn.Status.values:
            return queryset.filter(status=self.value(), created_at__gte=timezone.now() - timedelta(days=1))
        return queryset


@admin.register(Turn)
class TurnAdmin(ConversationAdmin):
    list_display = ("turn", "sent", "status", "error_kind", "model", "queued", "first_token", "took", "cost", "person", "in_thread")
    list_select_related = ("thread__user",)
    list_filter = (StateFilter,)
    ordering = ("-created_at", "-pk")
    search_help_text = "A turn id, a thread id, a request id, or an e-mail address (its start will do, with the @)."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Turn]:
        return super().get_queryset(request).select_related("thread__user", "key").defer("request_digest")

    def find(self, rows: QuerySet[Turn], term: str) -> QuerySet[Turn]:
        if "@" in term:
            return rows.filter(thread__user__in=users_like(term))
        given = as_uuid(term)
        return rows.filter(Q(request_id=term) | Q(pk=given) | Q(thread=given)) if given else rows.filter(request_id=term)

    def trace_context(self, obj: Turn) -> dict[str, Any]:
        lines, cut = trace.journal(obj)
        moments = trace.moments(obj)
        messages = list(obj.messages.order_by("seq", "id"))
        calls = list(obj.tool_calls.order_by("position", "created_at").prefetch_related("approvals__decided_by"))
        siblings = Turn.objects.filter(thread=obj.thread_id, number__in=(obj.number - 1, obj.number + 1)).only("number")
        return {
            "turn": obj,
            "moments": moments,
            "messages_shown": [(message, trace.shown(message)) for message in messages],
            "answered": any(message.role == Message.Role.ASSISTANT and message.content for message in messages),
            "so_far": trace.text_so_far(lines),
            "lines": lines,
            "lines_cut": cut,
            "journal_note": trace.journal_note(obj, bool(lines)),
            "picture": draw(lines, moments),
            "epochs": trace.epochs(lines),
            "steps": timeline.of(obj, messages, calls),
            "findings": list(chain.check([obj.pk])) if calls else [],
            "chained": sum(call.chain_number is not None for call in calls),
            "runner_seen": Runner.objects.filter(pk=obj.runner).first() if obj.runner else None,
            "options": trace.pretty(obj.options),
            "paid": LedgerEntry.objects.for_user(obj.thread.user).filter(turn_id=obj.pk).order_by("created_at"),
            "hold": Reservation.objects.filter(pk=obj.pk).first(),
            "siblings": {("before" if other.number < obj.number else "after"): other.pk for other in siblings},
        }

    @admin.display(description="user")
    def person(self, turn: Turn) -> str:
        return link("accounts_user", turn.thread.user_id, turn.thread.user)

    @admin.display(description="thread")
    def in_thread(self, turn: Turn) -> str:
        return link("threads_thread", turn.thread_id, f"{tail(turn.thread_id)} #{turn.number}")

    @admin.display
    def turn(self, turn: Turn) -> str:
        return tail(turn.pk)

    @admin.display
    def sent(self, turn: Turn) -> str:
        return _second(turn.created_at)

    @admin.display
    def queued(self, turn: Turn) -> str:
        return _between(turn.created_at, turn.started_at)

    @admin.display
    def first_token(self, turn: Turn) -> str:
        return _between(turn.started_at, turn.first_token_at)

    @admin.display
    def took(self, turn: Turn) -> str:
        return _between(turn.started_at, turn.finished_at)

    @admin.display
    def cost(self, turn: Turn) -> str:
        return money(turn.cost_micros)


@admin.register(Message)
class MessageAdmin(ConversationAdmin):
    list_display = ("message", "person", "in_turn", "in_thread", "seq", "role", "status", "rating", "model", "cost")
    list_select_related = ("thread__user",)
    search_help_text = "A thread id, a turn id or a message id."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        rows = super().get_queryset(request).select_related("thread__user")
        listed = request.resolver_match is not None and request.resolver_match.url_name == "threads_message_changelist"
        return rows.defer("content") if listed else rows

    def find(self, rows: QuerySet[Message], term: str) -> QuerySet[Message]:
        given = as_uuid(term)
        return rows.filter(Q(pk=given) | Q(turn=given) | Q(thread=given)) if given else rows.none()

    def trace_context(self, obj: Message) -> dict[str, Any]:
        return {"message_shown": obj, "blocks": trace.shown(obj)}

    @admin.display(description="user")
    def person(self, message: Message) -> str:
        return link("accounts_user", message.thread.user_id, message.thread.user)

    @admin.display
    def message(self, message: Message) -> str:
        return tail(message.pk)

    @admin.display(description="turn")
    def in_turn(self, message: Message) -> str:
        return link("threads_turn", message.turn_id, tail(message.turn_id))

    @admin.display(description="thread")
    def in_thread(self, message: Message) -> str:
        return link("threads_thread", message.thread_id, tail(message.thread_id))

    @admin.display
    def cost(self, message: Message) -> str:
        return money(message.cost_micros)


@admin.register(CatalogModel)
class CatalogModelAdmin(BaseAdmin):
    """Editable. A model is taken out of the picker with `enabled`, never deleted: old turns name it."""

    list_display = ("label", "slug", "provider", "upstream", "context_window", "input_price", "output_price", "enabled", "position")
    list_filter = ("provider", "enabled")
    search_fields = ("slug", "label", "upstream")
    fieldsets = (
        (None, {"fields": ("slug", "label", "description", "provider", "upstream", "enabled", "position")}),
        ("Limits, in tokens", {"fields": ("context_window", "default_max_tokens", "max_output_tokens")}),
        ("Prices, in USD per million tokens", {"fields": PRICES}),
        ("Prices of calls with a long prompt", {"fields": ("long_above", *(f"long_{name}" for name in PRICES))}),
        ("Abilities", {"fields": ("thinking", "tools", "vision", "prefill")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: CatalogModel | None = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: CatalogModel | None = None) -> bool:
        return False


@admin.register(Runner)
class RunnerAdmin(ReadOnlyAdmin):
    list_display = ("name", "started_at", "seen", "live_turns", "capacity", "takes", "draining")
    ordering = ("-seen_at", "-pk")
    fields = ("name", "started_at", "seen", "live_turns", "capacity", "takes", "draining", "running")
    readonly_fields = ("seen", "running")

    @admin.display(description="last seen")
    def seen(self, runner: Runner) -> str:
        return f"{span((timezone.now() - runner.seen_at).total_seconds())} ago"

    @admin.display(description="running turns")
    def running(self, runner: Runner) -> str:
        """Found through the index on running turns, so cheap however many have ended."""
        turns = Turn.objects.filter(status=Turn.Status.RUNNING, runner=runner.name).order_by("lease_until")[:NEWEST_TURNS]
        rows = [link("threads_turn", turn.pk) for turn in turns]
        return format_html("{}<br>" * len(rows), *rows) if rows else "none"


def _between(start: datetime | None, end: datetime | None) -> str:
    return span((end - start).total_seconds()) if start and end else "–"


def _second(time: datetime) -> str:
    return f"{timezone.localtime(time):%Y-%m-%d %H:%M:%S}"
