"""Pages of the admin that show what people wrote: only to who may read conversations, and each time with a record of it.

To list is one thing: lists show no content, and the usual view permissions open them. To read is another
(`threads.read_conversations`), which being staff does not bring along.
"""

from __future__ import annotations

from typing import Any, cast

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts.models import User
from chatai.lib.admin import READ, IndexedSearch, ReadOnlyAdmin, record

READ_CONVERSATIONS = "threads.read_conversations"
REPEAT_TOOL_CALLS = "threads.repeat_tool_calls"


def users_like(term: str) -> QuerySet[User]:
    return User.objects.filter(email__startswith=term.lower())


class ConversationAdmin(IndexedSearch, ReadOnlyAdmin):
    """A page that shows content: opening it is recorded, and its history is that of its owner."""

    def owner_of(self, obj: Any) -> User:
        return cast(User, obj.thread.user)

    def trace_context(self, obj: Any) -> dict[str, Any]:
        raise NotImplementedError

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) and (obj is None or request.user.has_perm(READ_CONVERSATIONS))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False, form_url: str = "", obj: Any = None
    ) -> HttpResponse:
        owner = self.owner_of(obj)
        record(request, owner.pk, READ, f"Read {self.opts.verbose_name} {obj.pk}")
        title = f"{str(self.opts.verbose_name).capitalize()} {obj.pk}"
        context |= {"title": title, "subtitle": None, "owner": owner, **self.trace_context(obj)}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        obj = self.get_object(request, object_id)
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        if obj is None:
            return cast(HttpResponse, self._get_obj_does_not_exist_redirect(request, self.opts, object_id))  # type: ignore[attr-defined]
        return HttpResponseRedirect(reverse("admin:accounts_user_history", args=[self.owner_of(obj).pk]))
