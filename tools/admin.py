"""What accounts registered, to be read, and rules: those of administrators, for everybody, are made here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from chatai.lib.admin import READ, BaseAdmin, IndexedSearch, ReadOnlyAdmin, link, record
from tools.actions import PATTERN
from tools.models import DirectCall, RegisteredTool, ToolRule

if TYPE_CHECKING:
    BaseForm = forms.ModelForm[ToolRule]
else:
    BaseForm = forms.ModelForm


@admin.register(RegisteredTool)
class RegisteredToolAdmin(IndexedSearch, ReadOnlyAdmin):
    """Settings and secrets are sealed and shown nowhere."""

    list_display = ("name", "kind", "account", "provider", "auth_mode", "created_at", "revoked_at")
    list_filter = ("kind",)
    list_select_related = ("user",)
    fields = ("id", "account", "name", "kind", "description", "input_schema", "provider", "auth_mode", "webhook_url", "timeout_ms")
    readonly_fields = ("account",)
    search_help_text = "A tool's name, or the start of the account's e-mail address."

    def find(self, rows: QuerySet[RegisteredTool], term: str) -> QuerySet[RegisteredTool]:
        return rows.filter(Q(name=term) | Q(user__email__startswith=term.lower()))

    @admin.display
    def account(self, row: RegisteredTool) -> str:
        return link("accounts_user", row.user_id, row.user)


@admin.register(DirectCall)
class DirectCallAdmin(IndexedSearch, ReadOnlyAdmin):
    """Whoever opens one reads what an app sent and got: that is written into the history of its account."""

    list_display = ("created_at", "name", "kind", "account", "is_error", "error_kind", "http_status", "attempts", "finished_at")
    list_filter = ("kind", "is_error")
    list_select_related = ("user",)
    exclude = ("user",)
    readonly_fields = ("account",)
    search_help_text = "A tool's name, or the start of the account's e-mail address."

    def find(self, rows: QuerySet[DirectCall], term: str) -> QuerySet[DirectCall]:
        return rows.filter(Q(name=term) | Q(user__email__startswith=term.lower()))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and request.user.has_perm("threads.read_conversations")

    def change_view(self, request: HttpRequest, object_id: str, *rest: Any, **more: Any) -> HttpResponse:
        response = super().change_view(request, object_id, *rest, **more)
        call = self.get_object(request, object_id)
        if call is not None and response.status_code == 200:
            record(request, call.user_id, READ, f"Read the direct call {call.pk}")
        return response

    @admin.display
    def account(self, call: DirectCall) -> str:
        return link("accounts_user", call.user_id, call.user)


class RuleForm(BaseForm):
    class Meta:
        model = ToolRule
        fields = ("pattern", "verdict", "reason")

    def clean_pattern(self) -> str:
        pattern = str(self.cleaned_data["pattern"])
        if not PATTERN.fullmatch(pattern):
            raise ValidationError("Letters, digits and _ . / : - with * for any characters.")
        if ToolRule.objects.filter(user=None, pattern=pattern).exclude(pk=self.instance.pk).exists():
            raise ValidationError("There is a rule for this pattern.")
        return pattern


@admin.register(ToolRule)
class ToolRuleAdmin(BaseAdmin):
    """Rules for everybody. Those of accounts are theirs: they are listed, and stay as they are."""

    form = RuleForm
    list_display = ("pattern", "verdict", "whose", "created_at", "reason")
    list_filter = ("verdict", ("user", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("pattern",)

    @admin.display
    def whose(self, rule: ToolRule) -> str:
        return str(rule.user) if rule.user else "everybody's"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.user_id is None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.user_id is None)
