"""Budgets in the admin: what is spent, held and left of each, and the two forms that move an account's limit."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.core.exceptions import PermissionDenied
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from accounts.models import User
from billing import grants
from billing.models import Budget, LedgerEntry, Reservation
from billing.standing import standing_of
from chatai.lib.admin import IndexedSearch, ReadOnlyAdmin, as_uuid, link, money, record

NEWEST = 20


class OwnerFilter(admin.SimpleListFilter):
    title = "owner"
    parameter_name = "of"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("account", "Accounts"), ("key", "Keys")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Budget]) -> QuerySet[Budget]:
        return queryset.filter(**{f"{'key' if self.value() == 'key' else 'user'}__isnull": False}) if self.value() else queryset


class StandingFilter(admin.SimpleListFilter):
    title = "standing"
    parameter_name = "standing"
    states = {
        "spent": ("Nothing left", Q(limit_micros__lte=F("spent_micros") + F("reserved_micros"))),
        "most": ("80 % or more spent", Q(limit_micros__isnull=False, spent_micros__gte=F("limit_micros") * 0.8)),
        "owed": ("Owes", Q(limit_micros__lt=F("spent_micros"))),
        "held": ("With open holds", Q(reserved_micros__gt=0)),
        "unlimited": ("Unlimited", Q(limit_micros=None)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _) in self.states.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Budget]) -> QuerySet[Budget]:
        return queryset.filter(self.states[self.value() or ""][1]) if self.value() in self.states else queryset


@admin.register(Budget)
class BudgetAdmin(IndexedSearch, ReadOnlyAdmin):
    list_display = ("owner", "of", "limit_of", "spent", "held", "left", "share", "changed_at")
    list_select_related = ("user", "key__user")
    list_filter = (OwnerFilter, StandingFilter)
    search_help_text = "The start of the owner's e-mail address, a user id or a key id."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        return super().get_queryset(request).select_related("user", "key__user").defer("key__digest")

    def find(self, rows: QuerySet[Budget], term: str) -> QuerySet[Budget]:
        given = as_uuid(term)
        if given:
            return rows.filter(Q(user=given) | Q(key=given) | Q(key__user=given))
        people = list(User.objects.filter(email__startswith=term.lower()).values_list("pk", flat=True)[:NEWEST])
        return rows.filter(Q(user__in=people) | Q(key__user__in=people))

    def may_move(self, request: HttpRequest, budget: Budget) -> bool:
        """A key's cap is its account's to set."""
        return budget.user_id is not None and request.user.has_perm("billing.change_budget")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False, form_url: str = "", obj: Any = None
    ) -> HttpResponse:
        whose = f"Budget of {obj.user or obj.key}"
        context |= _told(obj) | {"may_move": self.may_move(request, obj), "title": whose, "subtitle": None}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:budget_id>/grant/", view(self.grant), name="billing_budget_grant"),
            path("<int:budget_id>/limit/", view(self.limit), name="billing_budget_limit"),
            *super().get_urls(),
        ]

    def grant(self, request: HttpRequest, budget_id: int) -> HttpResponse:
        return self._move(request, budget_id, grants.Grant, "Grant credit")

    def limit(self, request: HttpRequest, budget_id: int) -> HttpResponse:
        return self._move(request, budget_id, grants.Limit, "Set the limit")

    def _move(self, request: HttpRequest, budget_id: int, form_class: type[grants.Movement], what: str) -> HttpResponse:
        """Ask for amount and reason, then post the line."""
        budget = self.get_object(request, str(budget_id))
        if budget is None:
            return cast(HttpResponse, self._get_obj_does_not_exist_redirect(request, self.opts, str(budget_id)))  # type: ignore[attr-defined]
        if not self.may_move(request, budget):
            raise PermissionDenied
        form = form_class(request.POST or None)
        if form.is_valid():
            line = form.move(budget.user, cast(User, request.user))
            if line is None:
                messages.warning(request, "This form was sent before: nothing was posted again.")
            else:
                # No reason here: it is in the ledger, and erased with the account.
                record(request, budget.user_id, CHANGE, f"{what}: {money(line.amount_micros)}, line {line.pk}")
                budget.refresh_from_db()
                now = "no limit" if budget.limit_micros is None else money(budget.limit_micros)
                messages.success(request, f"Posted {money(line.amount_micros)}. The limit of {budget.user} is now {now}.")
            return HttpResponseRedirect(reverse("admin:billing_budget_change", args=[budget.pk]))
        context = {**self.admin_site.each_context(request), "title": what, "opts": self.opts, "original": budget, "form": form}
        return TemplateResponse(request, "admin/billing/budget/move.html", context | _told(budget))

    @admin.display
    def owner(self, budget: Budget) -> str:
        return str(budget.user or budget.key)

    @admin.display
    def of(self, budget: Budget) -> str:
        return "account" if budget.key is None else link("accounts_user", budget.key.user_id, f"key of {budget.key.user}")

    @admin.display(description="limit")
    def limit_of(self, budget: Budget) -> str:
        return "none" if budget.limit_micros is None else money(budget.limit_micros)

    @admin.display
    def spent(self, budget: Budget) -> str:
        return money(budget.spent_micros)

    @admin.display
    def held(self, budget: Budget) -> str:
        return money(budget.reserved_micros) if budget.reserved_micros else ""

    @admin.display
    def left(self, budget: Budget) -> str:
        return "" if budget.left_micros is None else money(budget.left_micros)

    @admin.display
    def share(self, budget: Budget) -> str:
        return "" if budget.limit_micros is None else f"{standing_of(budget).percent} %"


def _told(budget: Budget) -> dict[str, Any]:
    """What the pages of one budget show; each list is an index range or short."""
    user = budget.user or (budget.key.user if budget.key else None)
    assert user is not None
    of_account = LedgerEntry.objects.for_user(user)
    lines = of_account if budget.key is None else of_account.filter(key_id=budget.key_id)
    holds = Reservation.objects.filter(state=Reservation.State.HELD)
    return {
        "budget": budget,
        "owner": user,
        "standing": standing_of(budget),
        "lines": lines.order_by("-created_at")[:NEWEST],
        "holds": holds.filter(Q(account=budget) | Q(key=budget)).order_by("lease_until")[:NEWEST],
        "others": Budget.objects.for_user(user).exclude(pk=budget.pk).select_related("key")[:NEWEST],
    }
