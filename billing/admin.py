"""Money in the admin. Everything can be read; what moves is an account's limit, by the two forms of its budget."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Min, OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from billing import (
    budget_admin,  # noqa: F401 - registers itself, as the next
    customer_admin,  # noqa: F401
    ledger_admin,  # noqa: F401
)
from billing.models import LedgerCheck, PriceVersion, Reservation, StripeEvent
from billing.price_rules import KINDS, LONG
from chatai.lib.admin import IndexedSearch, ReadOnlyAdmin, as_uuid, link, money, tail


class HoldFilter(admin.SimpleListFilter):
    """The open ones unless others are asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("late", "Open, lease run out"), *((state.value, str(state.label)) for state in Reservation.State if state != "held")]

    def choices(self, changelist: Any) -> Any:
        for number, choice in enumerate(super().choices(changelist)):
            yield {**choice, "display": "Open"} if number == 0 else choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Reservation]) -> QuerySet[Reservation]:
        if self.value() in Reservation.State.values:
            return queryset.filter(state=self.value())
        held = queryset.filter(state=Reservation.State.HELD)
        return held.filter(lease_until__lt=timezone.now()) if self.value() == "late" else held


@admin.register(Reservation)
class ReservationAdmin(IndexedSearch, ReadOnlyAdmin):
    list_display = ("hold", "kind", "state", "amount", "age", "lease", "max_tokens", "of_account", "of_key", "turn")
    list_select_related = ("account__user", "key__key")
    list_filter = (HoldFilter,)
    fieldsets = (
        (None, {"fields": ("id", "kind", "state", "amount", "of_account", "of_key", "turn", "version")}),
        ("Pays for", {"fields": ("input_tokens", "max_tokens", "context_tokens")}),
        ("Times", {"fields": ("created_at", "lease_until", "settled_at")}),
    )
    readonly_fields = ("amount", "of_account", "of_key", "turn", "version")
    search_help_text = "A hold's or turn's id."

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-pk",) if request.GET.get("state") in Reservation.State.values else ("lease_until", "pk")

    def find(self, rows: QuerySet[Reservation], term: str) -> QuerySet[Reservation]:
        given = as_uuid(term)
        return rows.filter(pk=given) if given else rows.none()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            held = Reservation.objects.filter(state=Reservation.State.HELD)
            sums = held.aggregate(amount=Sum("amount_micros", default=0), oldest=Min("created_at"))
            response.context_data |= {"held": sums["amount"], "oldest": sums["oldest"]}
        return response

    @admin.display
    def hold(self, hold: Reservation) -> str:
        return tail(hold.pk)

    @admin.display
    def amount(self, hold: Reservation) -> str:
        return money(hold.amount_micros)

    @admin.display
    def age(self, hold: Reservation) -> str:
        return _seconds((hold.settled_at or timezone.now()) - hold.created_at)

    @admin.display
    def lease(self, hold: Reservation) -> str:
        if hold.state != Reservation.State.HELD:
            return ""
        left = hold.lease_until - timezone.now()
        return f"{_seconds(left)} left" if left.total_seconds() > 0 else f"ran out {_seconds(-left)} ago"

    @admin.display(description="account")
    def of_account(self, hold: Reservation) -> str:
        return link("billing_budget", hold.account_id, hold.account.user)

    @admin.display(description="key")
    def of_key(self, hold: Reservation) -> str:
        return link("billing_budget", hold.key_id, hold.key.key if hold.key else "")

    @admin.display
    def turn(self, hold: Reservation) -> str:
        return link("threads_turn", hold.turn_id, tail(hold.turn_id)) if hold.turn_id else ""

    @admin.display(description="price")
    def version(self, hold: Reservation) -> str:
        return link("billing_priceversion", hold.price_version_id, hold.price_version)


@admin.register(PriceVersion)
class PriceVersionAdmin(IndexedSearch, ReadOnlyAdmin):
    list_display = ("model", "created_at", "input", "output", "cached", "changed")
    ordering = ("-created_at", "-pk")
    search_help_text = "A model's name."

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceVersion]:
        earlier = PriceVersion.objects.filter(model=OuterRef("model"), created_at__lt=OuterRef("created_at")).order_by("-created_at")
        rows: QuerySet[PriceVersion] = super().get_queryset(request)
        return rows.annotate(before=Subquery(earlier.values("price")[:1]))

    def find(self, rows: QuerySet[PriceVersion], term: str) -> QuerySet[PriceVersion]:
        return rows.filter(model__icontains=term)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False, form_url: str = "", obj: Any = None
    ) -> HttpResponse:
        others = PriceVersion.objects.filter(model=obj.model).exclude(pk=obj.pk).order_by("-created_at")
        context |= {"version": obj, "rows": compared(obj.before, obj.price), "others": others}
        return super().render_change_form(request, context, add, change, form_url, obj)

    @admin.display
    def input(self, version: PriceVersion) -> str:
        return short(version.price["input"])

    @admin.display
    def output(self, version: PriceVersion) -> str:
        return short(version.price["output"])

    @admin.display(description="cache read, write")
    def cached(self, version: PriceVersion) -> str:
        return f"{short(version.price['cache_read'])}, {short(version.price['cache_write'])}"

    @admin.display(description="changed")
    def changed(self, version: Any) -> str:
        if version.before is None:
            return "the first"
        rows = compared(version.before, version.price)
        return ", ".join(f"{name}: {old} → {new}" for name, old, new, differs in rows if differs)


@admin.register(LedgerCheck)
class LedgerCheckAdmin(ReadOnlyAdmin):
    list_display = ("checked_at", "outcome", "lines", "budgets", "took", "first")
    ordering = ("-checked_at",)

    @admin.display
    def outcome(self, check: LedgerCheck) -> str:
        return f"{check.differences:,} differ" if check.differences else "adds up"

    @admin.display
    def took(self, check: LedgerCheck) -> str:
        return f"{check.seconds:.1f} s"


@admin.register(StripeEvent)
class StripeEventAdmin(IndexedSearch, ReadOnlyAdmin):
    list_display = ("id", "type", "object_id", "created", "received_at", "applied_at", "outcome")
    ordering = ("-received_at", "-pk")
    search_help_text = "An event's id."

    def find(self, rows: QuerySet[StripeEvent], term: str) -> QuerySet[StripeEvent]:
        return rows.filter(pk=term)


def compared(before: dict[str, str] | None, price: dict[str, str]) -> list[tuple[str, str, str, bool]]:
    """(kind, figure before, figure now, whether they differ) of every kind that either has."""
    old = before or {}
    kinds = [kind for kind in (*KINDS, *LONG) if kind in old or kind in price]
    pairs = [(kind.replace("_", " "), short(old.get(kind)), short(price.get(kind))) for kind in kinds]
    return [(name, was, now, before is not None and was != now) for name, was, now in pairs]


def short(figure: str | None) -> str:
    """A decimal without the zeros at its end."""
    if figure is None:
        return "–"
    return figure.rstrip("0").rstrip(".") if "." in figure else figure


def _seconds(span: Any) -> str:
    whole = round(span.total_seconds())
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h" if whole < 172_800 else f"{whole // 86_400} days"
