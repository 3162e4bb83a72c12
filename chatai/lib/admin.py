"""What every list and page of the admin shares: cheap on millions of rows, read-only, and open about who looked.

Privacy: lists show no content of a conversation (a title counts: it starts as the first words). Each opening of a page that
does is one `LogEntry` on the owner of the conversation, so the user's history in the admin answers who read what, and when.
It holds ids only: nothing in it has to be erased when the account is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html

if TYPE_CHECKING:
    BaseAdmin = admin.ModelAdmin[Any]
    BasePaginator = Paginator[Any]
else:
    BaseAdmin, BasePaginator = admin.ModelAdmin, Paginator

READ = 4  # an action flag beside Django's addition 1, change 2, deletion 3


class CappedPaginator(BasePaginator):
    """Counts no further than `cap` rows: older ones are reached by searching, not by leafing."""

    cap = 5000

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by()[: self.cap].count()

    @property
    def capped(self) -> bool:
        return self.count >= self.cap


class ReadOnlyAdmin(BaseAdmin):
    """Lists and pages without a way to write; the order is the one an index gives."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER  # each would count the whole table
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class IndexedSearch(BaseAdmin):
    """Searches by what has an index: subclasses turn one term into a filter, and a term that fits nothing finds nothing."""

    search_fields = ("pk",)  # only makes the search box appear

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (self.find(queryset, term) if term else queryset), False

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        raise NotImplementedError


def as_uuid(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None


def link(name: str, pk: object, text: object = None) -> str:
    """A link to an object's page; `name` is app_model."""
    if pk is None:
        return "–"
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{name}_change", args=[pk]), pk if text is None else text)


def tail(pk: object) -> str:
    """What is enough of an id in a list: its random end (the beginning of a UUIDv7 is the time)."""
    return f"…{str(pk)[-12:]}"


def money(micros: int | None) -> str:
    """Micro-dollars as dollars, with all digits that count."""
    if micros is None:
        return "no cap"
    whole, rest = f"{abs(micros) / 1_000_000:,.6f}".split(".")
    return f"{'−' if micros < 0 else ''}${whole}.{rest[:2]}{rest[2:].rstrip('0')}"


def record(request: HttpRequest, user_id: object, flag: int, message: str) -> None:
    """Write into the history of the user with this id what the signed-in admin did."""
    LogEntry.objects.create(
        user_id=cast(UUID, request.user.pk),
        content_type=ContentType.objects.get_for_model(get_user_model()),
        object_id=str(user_id),
        object_repr=str(user_id),
        action_flag=flag,
        change_message=message,
    )
