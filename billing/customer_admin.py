"""Customers at Stripe in the admin: who is who, and whose usage is reported to the meter."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import CHANGE
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from billing.models import MeterReport, StripeCustomer
from chatai.lib.admin import IndexedSearch, ReadOnlyAdmin, link, record


@admin.register(StripeCustomer)
class StripeCustomerAdmin(IndexedSearch, ReadOnlyAdmin):
    """`metered since` is all that can be written."""

    list_display = ("id", "account", "metered_since", "created_at", "deleted_at")
    list_select_related = ("user",)
    ordering = ("-created_at", "-pk")
    fields = ("id", "account", "metered_since", "reported", "created_at", "deleted_at")
    readonly_fields = ("id", "account", "reported", "created_at", "deleted_at")
    search_help_text = "A customer's id at Stripe, or the start of the account's e-mail address."

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def find(self, rows: QuerySet[StripeCustomer], term: str) -> QuerySet[StripeCustomer]:
        return rows.filter(Q(pk=term) | Q(user__email__startswith=term.lower()))

    def save_model(self, request: HttpRequest, obj: StripeCustomer, form: Any, change: bool) -> None:
        obj.save(update_fields=["metered_since"])
        if obj.user_id is not None:
            record(request, obj.user_id, CHANGE, f"Usage is reported to Stripe's meter since {obj.metered_since or 'never'}")

    @admin.display
    def account(self, customer: StripeCustomer) -> str:
        return link("accounts_user", customer.user_id, customer.user)

    @admin.display(description="lines reported")
    def reported(self, customer: StripeCustomer) -> str:
        reports = MeterReport.objects.filter(customer_id=customer.pk)
        counts = reports.aggregate(sent=Count("pk", filter=Q(reported_at__isnull=False)), open=Count("pk", filter=Q(reported_at=None)))
        return f"{counts['sent']:,}, and {counts['open']:,} on the way"
