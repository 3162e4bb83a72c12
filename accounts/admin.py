"""The admin's view of people and keys. No secret, digest or password hash is shown on any page.

Of a person the flags and permissions can be changed (those that give power only by a superuser), the password set, and the
account closed; of a key nothing but that it is revoked. allauth's own admin pages, which show secrets and session keys and
let staff move addresses between accounts, are taken away; what they told is on the user's page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from allauth.account.admin import EmailAddress
from allauth.mfa.admin import Authenticator
from allauth.socialaccount.admin import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.admin import UserSession
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from accounts.actions import close_account
from accounts.keys import revoke
from accounts.models import ApiKey, User
from chatai.lib.admin import READ, CappedPaginator, IndexedSearch, ReadOnlyAdmin, as_uuid, link, record

# Importing their admin modules first makes them register now and not later.
for model in (Authenticator, EmailAddress, SocialApp, SocialToken, SocialAccount, UserSession):
    admin.site.unregister(model)

if TYPE_CHECKING:
    AddForm = AdminUserCreationForm[User]
    ChangeForm = UserChangeForm[User]
    UserBase = DjangoUserAdmin[User]
else:
    AddForm, ChangeForm, UserBase = AdminUserCreationForm, UserChangeForm, DjangoUserAdmin

POWERS = ("is_staff", "is_superuser", "groups", "user_permissions")


class AddUserForm(AddForm):
    class Meta:
        model = User
        fields = ("email", "name")

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class ChangeUserForm(ChangeForm):
    password = None  # type: ignore[assignment]  # not even a part of the hash is shown; setting a new one has its own page


@admin.register(User)
class UserAdmin(IndexedSearch, UserBase):
    form = ChangeUserForm
    add_form = AddUserForm
    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-pk",)
    actions = None
    list_display = ("email", "name", "id", "date_joined", "last_login", "is_active", "is_staff")
    list_filter = ("is_staff",)
    search_help_text = "The start of an e-mail address, or a user id."
    readonly_fields = ("id", "email", "name", "default_model", "date_joined", "last_login", "addresses", "signs_in_with")
    fieldsets = (
        (None, {"fields": ("id", "email", "name", "default_model", "date_joined", "last_login", "addresses", "signs_in_with")}),
        ("May", {"fields": ("is_active", *POWERS)}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "name", "usable_password", "password1", "password2")}),)

    def find(self, rows: QuerySet[User], term: str) -> QuerySet[User]:
        given = as_uuid(term)
        return rows.filter(pk=given) if given else rows.filter(email__startswith=term.lower())

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None:
            return ()
        return self.readonly_fields if _superuser(request) else (*self.readonly_fields, *POWERS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        # Or staff could take over a superuser by setting the password.
        return super().has_change_permission(request, obj) and (obj is None or not obj.is_superuser or _superuser(request))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # closing is the way: it also ends sessions and erases what no foreign key reaches

    def may_close(self, request: HttpRequest, obj: User) -> bool:
        return request.user.has_perm("accounts.delete_user") and self.has_change_permission(request, obj) and request.user.pk != obj.pk

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False, form_url: str = "", obj: Any = None
    ) -> HttpResponse:
        if obj is not None:
            context |= {"may_close": self.may_close(request, obj), "keys": obj.api_keys.all()[:20]}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_urls(self) -> list[URLPattern]:
        close = path("<uuid:user_id>/close/", self.admin_site.admin_view(self.close), name="accounts_user_close")
        return [close, *super().get_urls()]

    def close(self, request: HttpRequest, user_id: object) -> HttpResponse:
        """Ask, then erase the account and everything of it."""
        user = self.get_object(request, str(user_id))
        if user is None:
            return cast(HttpResponse, self._get_obj_does_not_exist_redirect(request, self.opts, str(user_id)))  # type: ignore[attr-defined]
        if not self.may_close(request, user):
            raise PermissionDenied
        if request.method != "POST":
            context = {
                **self.admin_site.each_context(request),
                "title": f"Close the account of {user}",
                "opts": self.opts,
                "original": user,
            }
            return TemplateResponse(request, "admin/accounts/user/close.html", context)
        close_account(user)
        record(request, user_id, DELETION, "Closed the account")
        messages.success(request, f"The account {user.email} is closed and everything of it is erased.")
        return HttpResponseRedirect(reverse("admin:accounts_user_changelist"))

    @admin.display(description="addresses")
    def addresses(self, user: User) -> str:
        found = EmailAddress.objects.filter(user=user).order_by("-primary", "email")
        return ", ".join(f"{one.email} ({'verified' if one.verified else 'not verified'})" for one in found) or "none"

    @admin.display(description="signs in with")
    def signs_in_with(self, user: User) -> str:
        """How, never with what."""
        ways = ["password"] if user.has_usable_password() else []
        ways += [str(provider) for provider in SocialAccount.objects.filter(user=user).values_list("provider", flat=True)]
        ways += [str(Authenticator.Type(kind).label) for kind in Authenticator.objects.filter(user=user).values_list("type", flat=True)]
        return ", ".join(ways) or "nothing yet"


@admin.register(ApiKey)
class ApiKeyAdmin(IndexedSearch, ReadOnlyAdmin):
    list_display = ("name", "prefix", "owner", "scope", "cap", "personal", "created_at", "last_used_at", "revoked_at")
    list_display_links = ("name", "prefix")
    list_select_related = ("user",)
    fields = ("id", "user", "name", "prefix", "scope", "cap", "personal", "created_at", "last_used_at", "revoked_at")
    readonly_fields = ("cap",)
    search_help_text = "The start of the owner's e-mail address, a user id or a key id."
    actions = ("revoke_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).defer("digest")

    def find(self, rows: QuerySet[ApiKey], term: str) -> QuerySet[ApiKey]:
        given = as_uuid(term)
        if given:
            return rows.filter(pk=given) | rows.filter(user=given)
        return rows.filter(user__in=User.objects.filter(email__startswith=term.lower()))

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_apikey")

    @admin.action(description="Revoke, at once and for good", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        usable = list(queryset.filter(revoked_at=None))
        for key in usable:
            revoke(key)
            record(request, key.user_id, CHANGE, f"Revoked key {key.pk}")
        messages.success(request, f"{len(usable)} revoked.")

    @admin.display(description="user")
    def owner(self, key: ApiKey) -> str:
        return link("accounts_user", key.user_id, key.user)

    @admin.display(description="lifetime cap")
    def cap(self, key: ApiKey) -> str:
        return "none" if key.max_spend_micros is None else f"${key.max_spend_micros / 1_000_000:,.2f}"


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Who did or read what, newest first: the same rows as in each user's history."""

    list_display = ("action_time", "admin_user", "action", "about", "get_change_message")
    list_display_links = None
    list_select_related = ("user", "content_type")

    @admin.display(description="admin")
    def admin_user(self, entry: LogEntry) -> str:
        return link("accounts_user", entry.user_id, entry.user)

    @admin.display
    def action(self, entry: LogEntry) -> str:
        return "Read" if entry.action_flag == READ else entry.get_action_flag_display()

    @admin.display
    def about(self, entry: LogEntry) -> str:
        return f"{entry.content_type.name if entry.content_type else ''} {entry.object_repr}"


def _superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
