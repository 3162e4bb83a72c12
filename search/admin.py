"""The index in the admin: how it is, and making it anew. It has no pages of passages: they are content, and read in the conversation."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from chatai.lib.admin import ReadOnlyAdmin
from search import generations
from search.health import health
from search.models import Generation


@admin.register(Generation)
class GenerationAdmin(ReadOnlyAdmin):
    list_display = ("model", "state", "progress", "created_at", "filled_at", "serving_at", "retired_at")
    list_display_links = None

    def get_urls(self) -> list[URLPattern]:
        again = path("embed-again/", self.admin_site.admin_view(self.embed_again), name="search_generation_embed_again")
        return [again, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        more = {"title": "Search index", "health": health(), "may_embed_again": self.may_embed_again(request)}
        return super().changelist_view(request, {**(extra_context or {}), **more})

    def may_embed_again(self, request: HttpRequest) -> bool:
        return request.user.has_perm("search.change_generation")

    def embed_again(self, request: HttpRequest) -> HttpResponse:
        """Begin a new generation; the worker fills it, and the present one answers until it is complete."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.may_embed_again(request):
            raise PermissionDenied
        begun = generations.rebuild()
        self.log_addition(request, begun, "Embed again")
        messages.success(request, f"The index is being made anew with {begun.model}. The present one answers until it is complete.")
        return HttpResponseRedirect(reverse("admin:search_generation_changelist"))

    @admin.display
    def progress(self, generation: Generation) -> str:
        if generation.filled_at is not None:
            return f"all of {generation.messages_done:,} messages"
        return f"{generation.messages_done:,} of about {generation.messages_total:,} messages"
