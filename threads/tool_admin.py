"""The admin's view of tool calls: which, by whom, allowed by whom, with what, and what came of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import ExpressionWrapper, F, Q, QuerySet
from django.db.models.fields import DurationField
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.models import User
from chatai.lib.admin import as_uuid, link, record, tail
from chatai.lib.later import LaterResponse
from threads import chain, trace
from threads.models import ToolCall
from threads.reading_admin import REPEAT_TOOL_CALLS, ConversationAdmin, users_like
from threads.repeating import refusal_to_repeat, run_again
from threads.templatetags.trace import span
from tools.database import in_thread
from tools.meta import NAMES
from tools.registry import builtins

NEWEST = 1000  # calls whose names are offered as a filter
RAN = 8  # an action flag beside those of chatai/lib/admin.py


class ToolFilter(admin.SimpleListFilter):
    """What was called lately, of what there is; any other name is found by searching for it."""

    title = "tool"
    parameter_name = "tool"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        lately = set(ToolCall.objects.order_by("-created_at").values_list("name", flat=True)[:NEWEST])
        first = [name for name in (*NAMES, *(one.slug for one in builtins())) if name in lately]
        return [(name, name) for name in [*first, *sorted(lately - set(first))][:100]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ToolCall]) -> QuerySet[ToolCall]:
        return queryset.filter(name=self.value()) if self.value() else queryset


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((value, str(label)) for value, label in ToolCall.Status.choices), ("denied", "Not allowed"), ("error", "Any error")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ToolCall]) -> QuerySet[ToolCall]:
        if self.value() == "denied":
            return queryset.filter(error_kind="denied")
        if self.value() == "error":
            return queryset.filter(is_error=True)
        return queryset.filter(status=self.value()) if self.value() in ToolCall.Status.values else queryset


class TimeFilter(admin.SimpleListFilter):
    title = "time"
    parameter_name = "within"
    hours = {"1": "The last hour", "24": "The last day", "168": "The last week"}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.hours.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[ToolCall]) -> QuerySet[ToolCall]:
        if self.value() not in self.hours:
            return queryset
        return queryset.filter(created_at__gte=timezone.now() - timedelta(hours=int(cast(str, self.value()))))


class DurationFilter(admin.SimpleListFilter):
    title = "duration"
    parameter_name = "over"
    seconds = {"1": "Over a second", "10": "Over ten seconds", "60": "Over a minute"}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.seconds.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[ToolCall]) -> QuerySet[ToolCall]:
        if self.value() not in self.seconds:
            return queryset
        took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
        return queryset.annotate(took=took).filter(took__gt=timedelta(seconds=int(cast(str, self.value()))))


@admin.register(ToolCall)
class ToolCallAdmin(ConversationAdmin):
    list_display = (
        "call",
        "made",
        "name",
        "status",
        "allowed",
        "error_kind",
        "http_status",
        "duration",
        "attempts",
        "person",
        "in_turn",
        "of_thread",
    )
    list_select_related = ("turn__thread__user",)
    list_filter = (StatusFilter, TimeFilter, DurationFilter, ToolFilter)
    ordering = ("-created_at", "-pk")
    search_help_text = "A tool's name, the id of a call, a turn or a thread, or an e-mail address (its start will do, with the @)."
    change_form_template = "admin/threads/toolcall/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ToolCall]:
        rows = super().get_queryset(request).select_related("turn__thread__user", "parent")
        listed = request.resolver_match is not None and request.resolver_match.url_name == "threads_toolcall_changelist"
        return rows.defer("arguments", "result", "blocks") if listed else rows

    def find(self, rows: QuerySet[ToolCall], term: str) -> QuerySet[ToolCall]:
        if "@" in term:
            return rows.filter(turn__thread__user__in=users_like(term))
        if given := as_uuid(term):
            return rows.filter(Q(pk=given) | Q(turn=given) | Q(turn__thread=given))
        return rows.filter(Q(name=term) | Q(tool_use_id=term))

    def owner_of(self, obj: ToolCall) -> User:
        return obj.turn.thread.user

    def trace_context(self, obj: ToolCall) -> dict[str, Any]:
        return {
            "call": obj,
            "told": trace.tool_call(obj),
            "inner": [trace.tool_call(one) for one in obj.inner.order_by("position").prefetch_related("approvals__decided_by")],
            "approvals": obj.approvals.select_related("decided_by").order_by("created_at"),
            "findings": list(chain.check([obj.turn_id])),
            "cannot_repeat": refusal_to_repeat(obj),
        }

    def get_urls(self) -> list[URLPattern]:
        again = self.admin_site.admin_view(self.repeat)
        return [path("<uuid:call_id>/again/", again, name="threads_toolcall_again"), *super().get_urls()]

    def repeat(self, request: HttpRequest, call_id: UUID) -> HttpResponseBase:
        """Run it again with these arguments, as its owner, and show what comes back now beside what came back then. Kept nowhere."""
        call = self.get_queryset(request).filter(pk=call_id).first()
        if call is None:
            raise Http404
        if not (self.has_view_permission(request, call) and request.user.has_perm(REPEAT_TOOL_CALLS)) or request.method != "POST":
            raise PermissionDenied
        if refusal_to_repeat(call):
            raise PermissionDenied
        record(request, call.turn.thread.user_id, RAN, f"Ran {call.name} again with the arguments of tool call {call.pk}")
        page = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": call,
            "title": f"{call.name} again",
            "owner": self.owner_of(call),
        }

        async def decide() -> HttpResponse:
            outcome = await run_again(call)
            now = {"output": outcome.output, "is_error": outcome.is_error}
            told = {"then": trace.tool_call(call), "now": trace.pretty(now["output"]), "outcome": outcome}
            return await in_thread(render, request, "admin/threads/toolcall/again.html", {**page, **told})

        return LaterResponse(decide)

    @admin.display(description="call")
    def call(self, call: ToolCall) -> str:
        return tail(call.pk)

    @admin.display(description="made")
    def made(self, call: ToolCall) -> str:
        return f"{timezone.localtime(call.created_at):%Y-%m-%d %H:%M:%S}"

    @admin.display(description="allowed by")
    def allowed(self, call: ToolCall) -> str:
        by = "a person" if call.verdict_by.startswith("approval ") else call.verdict_by
        return f"{call.verdict} ({by})" if by else call.verdict

    @admin.display
    def duration(self, call: ToolCall) -> str:
        return span((call.finished_at - call.started_at).total_seconds()) if call.started_at and call.finished_at else "–"

    @admin.display(description="user")
    def person(self, call: ToolCall) -> str:
        return link("accounts_user", call.turn.thread.user_id, call.turn.thread.user)

    @admin.display(description="turn")
    def in_turn(self, call: ToolCall) -> str:
        return link("threads_turn", call.turn_id, tail(call.turn_id))

    @admin.display(description="thread")
    def of_thread(self, call: ToolCall) -> str:
        return link("threads_thread", call.turn.thread_id, tail(call.turn.thread_id))
