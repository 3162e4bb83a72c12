"""Pages of a conversation: reading it, sending, stopping."""

from __future__ import annotations

import time
import uuid
from functools import cache
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from chatai.lib.ids import uuid7
from threads import actions
from threads.access import person, person_required, refuse, wants_fragment
from threads.around import page_around
from threads.blocks import text_of
from threads.cursors import BadCursor, sequence_at, sequence_before
from threads.forms import SendForm
from threads.live.frames import turn_html
from threads.models import Message, Thread, Turn
from threads.paging import TurnPage, page_of_turns
from threads.providers import catalog
from threads.sidebar import sidebar_of, zone_of
from threads.tool_options import FROM_A_PAGE

SUGGESTIONS = (
    ("compose", "Draft a friendly e-mail", "Draft a short, friendly e-mail that moves tomorrow's meeting to Thursday at ten."),
    ("code", "Explain some code", "Explain Python's `with` statement with a small example, then show how to write a context manager."),
    ("flag", "Plan a weekend", "Plan a relaxed weekend in Lisbon for two people, as a table with morning, afternoon and evening."),
    ("info", "Learn something", "Explain how vaccines train the immune system, in five short steps."),
)

# What the page draws at once when a message is sent; the script fills it in and a frame replaces it.
DRAFT = {"number": 999_999_999, "status": Turn.Status.QUEUED, "rows": [{"role": Message.Role.USER, "status": "queued"}]}


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return render(request, "threads/landing.html")
    newest = Thread.objects.for_user(person(request)).filter(archived_at=None).newest().values_list("pk", flat=True).first()
    return redirect("thread", newest) if newest else redirect("new-chat")


@require_safe
@login_required
def new_chat(request: HttpRequest) -> HttpResponse:
    unsaved = Thread(id=uuid7(), user=person(request))
    page = _page(request, unsaved, TurnPage([], None, None))
    return render(request, "threads/thread.html", {**page, "is_new": True, "suggestions": SUGGESTIONS})


@require_safe
@login_required
def thread(request: HttpRequest, thread_id: UUID) -> HttpResponse:
    found = get_object_or_404(Thread.objects.for_user(person(request)).defer("metadata"), pk=thread_id)
    try:
        if "at" in request.GET:
            return _thread_at(request, found, sequence_at(request.GET["at"], found))
        before = sequence_before(request.GET["before"], found) if "before" in request.GET else None
    except BadCursor:
        return HttpResponseBadRequest("There is no such page.")
    page = page_of_turns(person(request), found, before)
    return render(request, "threads/thread.html", {**_page(request, found, page), "is_past": before is not None})


def _thread_at(request: HttpRequest, thread: Thread, seq: int) -> HttpResponse:
    """Around one message, which the address's fragment names; the conversation itself where that message was deleted."""
    around = page_around(person(request), thread, seq)
    if around is None:
        return redirect("thread", thread.pk)
    page = {**_page(request, thread, around.page), "around": around, "at": seq, "is_past": not around.whole}
    return render(request, "threads/thread.html", page)


def _page(request: HttpRequest, thread: Thread, page: TurnPage) -> dict[str, Any]:
    user = person(request)
    models = catalog.offered()
    slugs = {model.slug for model in models}
    chosen = next((slug for slug in (thread.model, user.default_model) if slug in slugs), "") or catalog.default_model()
    return {
        "thread": thread,
        "page": page,
        "sidebar": sidebar_of(user, zone_of(request)),
        "models": models,
        "chosen_model": chosen,
        "spent_micros": thread.cost_micros,
        "request_id": uuid.uuid4(),
        "again_id": uuid.uuid4(),
        "rendered_ms": time.time_ns() // 1_000_000,
        "draft": _draft(),
        "deleted": _just_deleted(request),
    }


@cache
def _draft() -> str:
    return turn_html(DRAFT)


def _just_deleted(request: HttpRequest) -> Thread | None:
    """The thread a form without script has just deleted, so that the page can offer Undo."""
    try:
        thread_id = UUID(request.GET.get("deleted", ""))
    except ValueError:
        return None
    return Thread.objects.deleted_of(person(request)).filter(pk=thread_id).first()


@require_safe
@person_required
def older(request: HttpRequest, thread_id: UUID) -> HttpResponse:
    found = get_object_or_404(Thread.objects.for_user(person(request)).defer("metadata"), pk=thread_id)
    try:
        page = page_of_turns(person(request), found, sequence_before(request.GET.get("before", ""), found))
    except BadCursor:
        return HttpResponseBadRequest("There is no such page.")
    return render(request, "threads/_older.html", {"thread": found, "page": page})


@require_POST
@person_required
def send(request: HttpRequest, thread_id: UUID) -> HttpResponse:
    form = SendForm(request.POST, label_suffix="")  # it is never drawn, and the suffix would be translated
    if not form.is_valid():
        return refuse(request, actions.Refused(400, "invalid_request_error", form.problem))
    sent = form.cleaned_data
    try:
        actions.admit_turn(
            person(request),
            thread_id,
            content=sent["text"],
            model=sent["model"] or catalog.default_model(),
            request_id=str(sent["request_id"]),
            create=sent["new"],
            options=dict(FROM_A_PAGE),
        )
    except actions.Refused as refusal:
        return refuse(request, refusal)
    return HttpResponse(status=204) if wants_fragment(request) else redirect("thread", thread_id)


@require_POST
@person_required
def stop(request: HttpRequest, thread_id: UUID) -> HttpResponse:
    try:
        actions.stop(person(request), thread_id)
    except actions.Refused as refusal:
        return refuse(request, refusal)
    return HttpResponse(status=204) if wants_fragment(request) else redirect("thread", thread_id)


@require_safe
@person_required
def message_text(request: HttpRequest, thread_id: UUID, seq: int) -> HttpResponse:
    """What Copy takes: the message as it was written, Markdown and all."""
    mine = Message.objects.for_user(person(request)).filter(thread_id=thread_id)
    message = mine.filter(seq=seq).only("content", "role", "turn_id").first()
    if message is None:
        raise Http404
    # An answer that called tools is several messages, and one to whoever reads it.
    rows = mine.filter(turn=message.turn_id, role=message.role, seq__lte=seq).order_by("seq").only("content")
    parts = [text_of(row.content) for row in rows] if message.role == Message.Role.ASSISTANT else [text_of(message.content)]
    return HttpResponse("\n\n".join(filter(None, parts)), content_type="text/plain; charset=utf-8")
