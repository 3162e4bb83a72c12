"""The search page, and what the palette shows while one types; always the person's own conversations."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chatai.lib.zones import zone_of
from search.forms import MOST_PAGES, SearchForm
from search.query import Mode, Owner, find
from search.rows import rows_of, titled
from threads.access import person, person_required, refuse
from threads.blocks import clean_text
from threads.refusals import Refused

PAGE = 20  # hits of a page
TITLES, PALETTE = 5, 6  # chats and messages of each kind in the palette
LEAD = 30  # characters before what matched, in the palette's two lines


@require_safe
@login_required
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    form = SearchForm(request.GET)
    context: dict[str, Any] = {"form": form, "q": request.GET.get("q", "")}
    try:
        if not form.is_valid():
            raise Refused(400, "invalid_request_error", form.problem)
        if form.cleaned_data["q"]:
            context |= _results(request, form)
    except Refused as refusal:
        return render(request, "search/page.html", {**context, "problem": refusal.message}, status=refusal.status)
    return render(request, "search/page.html", context)


def _results(request: HttpRequest, form: SearchForm) -> dict[str, Any]:
    user, zone, q = person(request), zone_of(request), form.cleaned_data["q"]
    number = form.cleaned_data["page"] or 1
    asked = form.asked(zone)
    found = find(Owner(user), q, limit=PAGE, offset=(number - 1) * PAGE, **asked)
    return {
        "q": q,
        "rows": rows_of(found.hits, zone),
        "chats": titled(user, q, TITLES) if number == 1 and not form.narrowed else [],
        "words_only": asked["mode"] == "hybrid" and not found.meaning,
        "number": number,
        "previous": number - 1,
        "following": number + 1 if number < MOST_PAGES else None,
        "more": found.more,
        "searched": True,
    }


@require_safe
@person_required
@never_cache
def palette(request: HttpRequest) -> HttpResponse:
    """Chats by title and messages by their words: fast enough for every letter."""
    q = clean_text(request.GET.get("q", "")).strip()
    chats = titled(person(request), q, TITLES)
    return _part(request, "search/_palette_words.html", q, "text", chats=chats)


@require_safe
@person_required
@never_cache
def palette_meaning(request: HttpRequest) -> HttpResponse:
    """Messages about the same thing in other words; the page leaves out those it has."""
    q = clean_text(request.GET.get("q", "")).strip()
    return _part(request, "search/_palette_meaning.html", q, "semantic")


def _part(request: HttpRequest, template: str, q: str, mode: Mode, **more: Any) -> HttpResponse:
    try:
        found = find(Owner(person(request)), q, limit=2 * PALETTE if mode == "semantic" else PALETTE, mode=mode)
    except Refused as refusal:
        return refuse(request, refusal)
    rows = [row for row in rows_of(found.hits, zone_of(request), LEAD) if not row.weak]
    return render(request, template, {"rows": rows, "q": q, "meaning": found.meaning, **more})
