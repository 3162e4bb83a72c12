"""The list of chats: its pages, and what can be done to one chat from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from threads import actions
from threads.access import person, person_required, refuse, wants_fragment
from threads.cursors import BadCursor
from threads.models import Thread
from threads.sidebar import ALWAYS, grouped, page_of_threads, sidebar_of, zone_of


@require_safe
@login_required
def archived(request: HttpRequest) -> HttpResponse:
    mine = Thread.objects.for_user(person(request)).exclude(archived_at=None)
    return _list_page(request, "threads/archived.html", mine)


@require_safe
@login_required
def all_chats(request: HttpRequest) -> HttpResponse:
    """What follows the first page of the sidebar: a fragment when it is scrolled, a page without script."""
    mine = Thread.objects.for_user(person(request)).filter(archived_at=None, pinned_at=None)
    return _list_page(request, "threads/_more_threads.html" if wants_fragment(request) else "threads/all_chats.html", mine)


def _list_page(request: HttpRequest, template: str, threads: Any) -> HttpResponse:
    try:
        rows, more = page_of_threads(threads, request.GET.get("before", ""))
    except BadCursor:
        return HttpResponseBadRequest("There is no such page.")
    groups = grouped(rows, zone_of(request))
    present = {*ALWAYS, request.GET.get("group", "")}
    return render(
        request,
        template,
        {
            "groups": groups,
            "begun": [group for group in groups if group.key in present],
            "fresh": [group for group in groups if group.key not in present],
            "more": more,
            "last_key": groups[-1].key if groups else "",
        },
    )


@require_POST
@person_required
def rename(request: HttpRequest, thread_id: UUID) -> HttpResponse:
    return _change(request, thread_id, lambda user: actions.rename(user, thread_id, request.POST.get("title", "")))


@require_POST
@person_required
def pin(request: HttpRequest, thread_id: UUID) -> HttpResponse:
    return _change(request, thread_id, lambda user: actions.set_pinned(user, thread_id, request.POST.get("on") == "1"))


@require_POST
@person_required
def archive(request: HttpRequest, thread_id: UUID) -> HttpResponse:
    on = request.POST.get("on") == "1"
    done = "Moved to the archive." if on else "Back in the list."
    return _change(request, thread_id, lambda user: actions.set_archived(user, thread_id, on), toast=done)


@require_POST
@person_required
def delete(request: HttpRequest, thread_id: UUID) -> HttpResponse:
    try:
        actions.delete_thread(person(request), thread_id)
    except actions.Refused as refusal:
        return refuse(request, refusal)
    away = f"{reverse('new-chat')}?deleted={thread_id}"
    if not wants_fragment(request):
        return redirect(away)
    if urlsplit(request.headers.get("HX-Current-URL", "")).path == reverse("thread", args=[thread_id]):
        return HttpResponse(headers={"HX-Redirect": away})
    return render(request, "threads/_deleted.html", {"thread_id": thread_id})


@require_POST
@person_required
def undo_delete(request: HttpRequest, thread_id: UUID) -> HttpResponse:
    return _change(request, thread_id, lambda user: actions.undo_delete(user, thread_id))


def _change(request: HttpRequest, thread_id: UUID, action: Callable[[Any], None], toast: str = "") -> HttpResponse:
    """Do it, then answer with the whole list, which puts the chat where it belongs now."""
    user = person(request)
    try:
        action(user)
    except actions.Refused as refusal:
        return refuse(request, refusal)
    if not wants_fragment(request):
        return redirect("thread", thread_id)
    changed = Thread.objects.for_user(user).get(pk=thread_id)
    return render(request, "threads/_changed.html", {"sidebar": sidebar_of(user, zone_of(request)), "changed": changed, "toast": toast})
