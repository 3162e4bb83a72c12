"""Paying: balance and top-ups, plans, invoices, the way to Stripe's own pages and back; always the person's own."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from billing import checkout, collect, payments, plans, standing
from billing.models import LedgerEntry, StripeCustomer

logger = logging.getLogger(__name__)

MOVEMENTS = 20


class SeeOther(HttpResponseRedirect):
    """After a POST: to another page, with GET."""

    status_code = 303


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


@require_safe
@login_required
@never_cache
def overview(request: HttpRequest) -> HttpResponse:
    """The balance, what moved it, and the amounts of a top-up. Asks nobody outside."""
    user = _user(request)
    stands = standing.of_account(user)
    page = {
        "standing": stands,
        "enabled": payments.enabled(),
        "top_ups": plans.top_ups(),
        "request_id": uuid.uuid4(),
        "has_plans": bool(settings.BILLING_PLANS),
        # Accounts without a limit pay afterwards, if at all: they need a card at Stripe, and no top-ups.
        "is_customer": checkout.is_customer(user) or stands.limit_micros is None,
        "movements": LedgerEntry.objects.for_user(user).exclude(amount_micros=0).order_by("-created_at")[:MOVEMENTS],
        "webhook_url": request.build_absolute_uri(reverse("billing_webhook")),
    }
    return render(request, "billing/overview.html", page)


@require_safe
@login_required
@never_cache
def show_plans(request: HttpRequest) -> HttpResponse:
    if not payments.enabled():
        return redirect("billing")
    try:
        going_on = {one.price_id: one for one in checkout.subscriptions(_user(request))}
        offered = [(plan, payments.price(plan.price_id), going_on.get(plan.price_id)) for plan in plans.offered()]
    except payments.PaymentsError as error:
        return _unreachable(request, error)
    page = {"offered": offered, "subscribed": bool(going_on), "request_id": uuid.uuid4()}
    return render(request, "billing/plans.html", page)


@require_safe
@login_required
@never_cache
def show_invoices(request: HttpRequest) -> HttpResponse:
    if not payments.enabled():
        return redirect("billing")
    try:
        bills = checkout.bills(_user(request))
    except payments.PaymentsError as error:
        return _unreachable(request, error)
    return render(request, "billing/invoices.html", {"bills": bills})


def _unreachable(request: HttpRequest, error: payments.PaymentsError) -> HttpResponse:
    logger.error("A page of payments could not be shown: %s", error)
    response = render(request, "billing/unreachable.html", status=503)
    response.headers["Retry-After"] = "30"
    return response


@require_POST
@login_required
def top_up(request: HttpRequest) -> HttpResponse:
    """To Checkout, for one of the amounts on the page."""
    user, chosen = _user(request), request.POST.get("micros", "")
    if chosen not in map(str, plans.top_ups()):
        return HttpResponseBadRequest("There is no such amount.")
    if not _wants_credit(user):
        return redirect("billing")
    back = request.build_absolute_uri(reverse("billing"))
    request_id = f"{_request_id(request)}-{chosen}"
    return _away(
        request, lambda: checkout.top_up_page(user, int(chosen), request_id, _done_url(request), back, settings.SITE_NAME), "billing"
    )


@require_POST
@login_required
def subscribe(request: HttpRequest) -> HttpResponse:
    """To Checkout for a plan; whoever has one already goes to the portal, where it can be changed."""
    user, price_id = _user(request), request.POST.get("price", "")
    plan = next((plan for plan in plans.offered() if plan.price_id == price_id), None)
    if plan is None:
        return HttpResponseBadRequest("There is no such plan.")
    if not _wants_credit(user):
        return redirect("billing")
    back = request.build_absolute_uri(reverse("billing_plans"))
    request_id = f"{_request_id(request)}-{price_id}"

    def page() -> str:
        if checkout.subscriptions(user):
            return checkout.portal_page(user, back)
        return checkout.plan_page(user, plan, request_id, _done_url(request), back)

    return _away(request, page, "billing_plans")


@require_POST
@login_required
def portal(request: HttpRequest) -> HttpResponse:
    """To Stripe's customer portal."""
    if not payments.enabled():
        return redirect("billing")
    user, back = _user(request), request.build_absolute_uri(reverse("billing"))
    return _away(request, lambda: checkout.portal_page(user, back), "billing")


@require_safe
@login_required
@never_cache
def done(request: HttpRequest) -> HttpResponse:
    """Back from Checkout: what was paid is there at once, whether or not the event came yet."""
    if not payments.enabled():
        return redirect("billing")
    try:
        paid = collect.collect_session(_user(request), request.GET.get("session_id", ""))
    except StripeCustomer.DoesNotExist:
        raise Http404 from None
    except payments.PaymentsError as error:
        logger.error("A payment is collected when its event comes: %s", error)
        paid = False
    if paid:
        messages.success(request, "Thank you. Your payment has arrived.")
    else:
        messages.info(request, "Thank you. Your credit is added as soon as Stripe has the payment.")
    return redirect("billing")


def _wants_credit(user: User) -> bool:
    """Nothing is sold where payments are off, or to an account that has no limit to raise."""
    return payments.enabled() and standing.of_account(user).limit_micros is not None


def _done_url(request: HttpRequest) -> str:
    # Stripe puts the id in; the braces must stay as they are.
    return request.build_absolute_uri(reverse("billing_done")) + "?session_id={CHECKOUT_SESSION_ID}"


def _request_id(request: HttpRequest) -> str:
    """Made with the page: a form sent twice is one payment."""
    return request.POST.get("request_id", "")[:64]


def _away(request: HttpRequest, page: Callable[[], str], otherwise: str) -> HttpResponse:
    try:
        return SeeOther(page())
    except payments.PaymentsError as error:
        logger.error("Nobody could be sent to Stripe: %s", error)
        messages.error(request, "Stripe cannot be reached right now, so nothing was paid. Please try again in a minute.")
        return SeeOther(reverse(otherwise))
