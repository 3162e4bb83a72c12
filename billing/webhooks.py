"""Where Stripe tells what happened: POST /billing/webhook."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing import collect, payments

logger = logging.getLogger(__name__)

LARGEST = 512 * 1024  # bytes; Stripe's own are a few thousand


def _said(status: int, text: str) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain")


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """200 when it is applied or not needed, 400 when it is not Stripe's, 503 when Stripe should send it again."""
    try:
        size = int(request.headers.get("Content-Length") or 0)
    except ValueError:
        size = LARGEST + 1
    if size > LARGEST or len(request.body) > LARGEST:
        return _said(400, "Too large for an event.")
    try:
        event = payments.read_event(request.body, request.headers.get("Stripe-Signature", ""))
    except payments.ForgedEventError as error:
        logger.warning("A webhook was refused: %s", error)
        return _said(400, "Not an event that Stripe signed for this endpoint.")
    try:
        outcome = collect.apply_event(event)
    except payments.PaymentsError as error:
        logger.error("%s %s could not be applied, Stripe will send it again: %s", event.type, event.id, error)
        return _said(503, "Not now.")
    logger.info("%s %s: %s", event.type, event.id, outcome)
    return _said(200, outcome)
