"""The ledger in the admin: every line, filtered by what has an index, with the sums of what is filtered."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db import OperationalError, connection, transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.models import ApiKey, User
from billing import pricing
from billing.models import LedgerEntry, PriceVersion, Reservation
from chatai.lib.admin import IndexedSearch, ReadOnlyAdmin, as_uuid, link, money, tail

SUM_SECONDS = 3  # what a page may spend on adding up
MOST_PEOPLE = 50
OWN = ("user_id", "key_id", "thread_id", "turn_id")  # filters that links from other pages bring along


class ModelFilter(admin.SimpleListFilter):
    """Of the models that ever had a price; asking the ledger would read all of it."""

    title = "model"
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(slug, slug) for slug in PriceVersion.objects.order_by("model").values_list("model", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry]:
        return queryset.filter(model=self.value()) if self.value() else queryset


class DayFilter(admin.SimpleListFilter):
    """Some spans by name; any day as ?day=2026-11-20."""

    title = "day"
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("today", "Today"), ("yesterday", "Yesterday"), ("week", "Last 7 days"), ("month", "This month"), ("before", "Last month")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry]:
        span = _span(self.value(), timezone.localdate())
        if span is None:
            return queryset
        first, behind = (datetime.combine(day, time.min, timezone.get_current_timezone()) for day in span)
        return queryset.filter(created_at__gte=first, created_at__lt=behind)


def _span(value: str | None, today: date) -> tuple[date, date] | None:
    """The first day, and the day behind the last."""
    month = today.replace(day=1)
    tomorrow = today + timedelta(days=1)
    match value:
        case None | "":
            return None
        case "today":
            return today, tomorrow
        case "yesterday":
            return today - timedelta(days=1), today
        case "week":
            return today - timedelta(days=6), tomorrow
        case "month":
            return month, tomorrow
        case "before":
            return (month - timedelta(days=1)).replace(day=1), month
    try:
        day = date.fromisoformat(value)
        return day, day + timedelta(days=1)
    except (ValueError, OverflowError):
        return None


class EstimatedFilter(admin.SimpleListFilter):
    title = "figures"
    parameter_name = "estimated"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "Estimated"), ("0", "Counted by the provider")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry]:
        return queryset.filter(estimated=self.value() == "1") if self.value() in ("0", "1") else queryset


@admin.register(LedgerEntry)
class LedgerEntryAdmin(IndexedSearch, ReadOnlyAdmin):
    list_display = ("posted", "kind", "cost", "amount", "person", "model", "tokens", "estimated", "reason_given", "turn", "key")
    list_filter = ("kind", ModelFilter, DayFilter, EstimatedFilter)
    search_help_text = "An e-mail address (its start will do, with the @), the id of a user, a key, a turn or a line, or a line's source."

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # By the index that the search goes by; without one by the key, which is in the order of time too.
        return ("-created_at", "-pk") if request.GET.get("q") or request.GET.get("user_id") else ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerEntry]:
        email = User.objects.filter(pk=OuterRef("user_id")).values("email")
        rows: QuerySet[LedgerEntry] = super().get_queryset(request)
        return rows.annotate(email=Subquery(email[:1]))

    def find(self, rows: QuerySet[LedgerEntry], term: str) -> QuerySet[LedgerEntry]:
        if "@" in term:
            people = User.objects.filter(email__startswith=term.lower()).values_list("pk", flat=True)
            return rows.filter(user_id__in=list(people[:MOST_PEOPLE]))
        given = as_uuid(term)
        if given is None:
            return rows.filter(source=term)
        if key := ApiKey.objects.filter(pk=given).only("user_id").first():
            return rows.filter(user_id=key.user_id, key_id=given)
        sources = [f"{kind}:{given}" for kind in Reservation.Kind.values]
        return rows.filter(Q(pk=given) | Q(user_id=given) | Q(source__in=sources))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data and "cl" in response.context_data:
            given = {name: value for name in OWN if (value := request.GET.get(name))}
            kept = {name: value for name, value in request.GET.items() if name not in ("day", "p", "e")}
            response.context_data |= {
                "totals": totals(response.context_data["cl"].queryset),
                "narrowed": given,
                "kept": kept,
                "day": request.GET.get("day", ""),
            }
        return response

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False, form_url: str = "", obj: Any = None
    ) -> HttpResponse:
        hold = Reservation.objects.filter(pk=held) if (held := as_uuid(obj.source.partition(":")[2])) else Reservation.objects.none()
        context |= {
            "title": f"Line of {timezone.localtime(obj.created_at):%Y-%m-%d %H:%M:%S}",
            "subtitle": None,
            "entry": obj,
            "rows": explained(obj),
            "hold": hold.first(),
            "version": obj.price_version,
            "actor": User.objects.filter(pk=obj.actor_id).first() if obj.actor_id else None,
        }
        return super().render_change_form(request, context, add, change, form_url, obj)

    @admin.display
    def posted(self, entry: LedgerEntry) -> str:
        return f"{timezone.localtime(entry.created_at):%Y-%m-%d %H:%M:%S}"

    @admin.display
    def cost(self, entry: LedgerEntry) -> str:
        return money(entry.cost_micros) if entry.cost_micros else ""

    @admin.display(description="in or out")
    def amount(self, entry: LedgerEntry) -> str:
        return f"{'+' if entry.amount_micros > 0 else ''}{money(entry.amount_micros)}" if entry.amount_micros else ""

    @admin.display(description="user")
    def person(self, entry: Any) -> str:
        return (
            link("accounts_user", entry.user_id, entry.email) if entry.email else "erased" if entry.user_id is None else tail(entry.user_id)
        )

    @admin.display
    def key(self, entry: LedgerEntry) -> str:
        return link("accounts_apikey", entry.key_id, tail(entry.key_id)) if entry.key_id else ""

    @admin.display
    def tokens(self, entry: LedgerEntry) -> str:
        read = entry.input_tokens + entry.cache_read_tokens + entry.cache_write_tokens
        return f"{read:,} in, {entry.output_tokens:,} out" if read or entry.output_tokens else ""

    @admin.display
    def turn(self, entry: LedgerEntry) -> str:
        return link("threads_turn", entry.turn_id, tail(entry.turn_id)) if entry.turn_id else ""

    @admin.display(description="reason")
    def reason_given(self, entry: LedgerEntry) -> str:
        return entry.reason if len(entry.reason) <= 60 else f"{entry.reason[:59]}…"


def totals(rows: QuerySet[LedgerEntry]) -> dict[str, Any] | None:
    """Sums of all these lines; None when that takes longer than a page may."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{SUM_SECONDS}s"])
            return rows.order_by().aggregate(
                lines=Count("pk"),
                cost=Sum("cost_micros", default=0),
                paid=Sum("amount_micros", filter=Q(amount_micros__gt=0), default=0),
                taken=Sum("amount_micros", filter=Q(amount_micros__lt=0), default=0),
                read=Sum("input_tokens", default=0),
                cached=Sum("cache_read_tokens", default=0),
                kept=Sum("cache_write_tokens", default=0),
                written=Sum("output_tokens", default=0),
            )
    except OperationalError:
        return None


def explained(entry: LedgerEntry) -> list[tuple[str, int, str, Decimal]]:
    """(kind of token, how many, USD per million, micro-dollars) of a line that has a price."""
    if entry.price_version is None:
        return []
    price = entry.price_version.price
    prompt = entry.input_tokens + entry.cache_read_tokens + entry.cache_write_tokens
    prefix = pricing.tier(price, prompt)
    counted = [(kind, getattr(entry, f"{kind}_tokens")) for kind in ("input", "cache_read", "cache_write", "output")]
    return [
        (kind.replace("_", " "), count, price[prefix + kind], count * Decimal(price[prefix + kind])) for kind, count in counted if count
    ]
