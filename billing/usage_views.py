"""The usage page, its export, and the strip of the soft alerts; always the person's own."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from billing import alerts, csv_files, standing, usage, usage_page
from billing.models import LedgerEntry
from billing.usage import BadCursor, Span
from chatai.lib.zones import zone_of

PERIODS = {"month": "This month", "last-month": "Last month", "7-days": "7 days", "30-days": "30 days", "90-days": "90 days"}


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _period(request: HttpRequest) -> tuple[str, Span]:
    """The name of the period asked for, the first when there is no such one, and its span in the reader's time zone."""
    name, zone = request.GET.get("period", ""), zone_of(request)
    month = usage.this_month(zone)
    if name == "last-month":
        return name, Span((month - dt.timedelta(days=1)).replace(day=1), month)
    if name in PERIODS and name.endswith("-days"):
        today = timezone.now().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        return name, Span(today - dt.timedelta(days=int(name.removesuffix("-days")) - 1))
    return "month", Span(month)


@require_safe
@login_required
@never_cache
def show(request: HttpRequest) -> HttpResponse:
    user, zone = _user(request), zone_of(request)
    name, span = _period(request)
    cursor = request.GET.get("before", "")
    try:
        lines = usage_page.page_of_lines(user, span, cursor, zone)
    except BadCursor:
        return HttpResponseBadRequest("There is no such page.")
    page: dict[str, Any] = {
        "standing": standing.of_account(user),
        "can_pay": standing.can_pay(),
        "periods": PERIODS.items(),
        "period": name,
        "lines": lines,
        "is_past": bool(cursor),
        **usage_page.figures(user, span, zone),
    }
    return render(request, "billing/usage.html", page)


@require_safe
@login_required
def export(request: HttpRequest) -> HttpResponse:
    """Every line of the period, credits included."""
    user = _user(request)
    name, span = _period(request)
    lines = usage.lines_before(LedgerEntry.objects.for_user(user).filter(span.where), "", csv_files.MOST_LINES + 1)
    if len(lines) > csv_files.MOST_LINES:
        messages.error(request, csv_files.TOO_MANY)
        return redirect("usage")
    return csv_files.file(f"usage-{name}", usage_page.HEADER, usage_page.rows(user, lines))


@require_safe
@login_required
@never_cache
def alert(request: HttpRequest) -> HttpResponse:
    """The strip as it is now, for a page that has seen enough spending since it was drawn."""
    return render(request, "billing/_strip.html", alerts.strip(request))


@require_POST
@login_required
def dismiss_alert(request: HttpRequest) -> HttpResponse:
    """Close the strip in this browser, until the next level or another limit."""
    script = request.headers.get("X-Requested-With") == "fetch"
    back = request.headers.get("Referer", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    response = HttpResponse(status=204) if script else redirect(back if safe else "usage")
    value = alerts.mark(standing.of_account(_user(request)))
    response.set_cookie(alerts.COOKIE, value, alerts.COOKIE_SECONDS, secure=request.is_secure(), httponly=True, samesite="Lax")
    return response
