"""What waits for a person, answered on the page: a call allowed or not, with its arguments or others; a tool's form filled in."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from threads import approvals
from threads.access import person, person_required, refuse, wants_fragment
from threads.live import cards
from threads.live.asks import of_approval
from threads.live.fields import values_of
from threads.models import Approval
from threads.refusals import Refused

DECISIONS = ("once", "chat", "deny")
GONE = "This question is no longer open."


@require_safe
@never_cache
@person_required
def show(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """The question with its arguments to edit: put into the card by a script, a page of its own without one."""
    approval = approvals.open_for(person(request), approval_id)
    if approval is None:
        return refuse(request, Refused(404, "not_found_error", GONE))
    return _show(request, approval)


def _show(request: HttpRequest, approval: Approval, problem: str = "") -> HttpResponse:
    typed = request.POST.get("arguments")
    asked = cards.asked(of_approval(approval))
    page = {
        "asked": asked,
        "ask": asked["ask"],
        "typed": asked["arguments"] or "{}" if typed is None else typed,
        "thread_id": approval.call.turn.thread_id,
        "problem": problem,
    }
    template = "threads/_arguments.html" if wants_fragment(request) else "threads/approval.html"
    return render(request, template, page, status=400 if problem else 200)


@require_POST
@person_required
def decide(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """The field that is named as the decision carries the token, so that a plain button is enough."""
    decision = next((one for one in DECISIONS if one in request.POST), "")
    if not decision:
        return refuse(request, Refused(400, "invalid_request_error", "Say whether it may run: once, always in this chat, or not."))
    try:
        arguments = _arguments(request.POST["arguments"]) if "arguments" in request.POST and decision != "deny" else None
        answered = approvals.decide(
            person(request), approval_id, request.POST[decision], cast(approvals.Decision, decision), arguments=arguments
        )
    except Refused as refusal:
        approval = approvals.open_for(person(request), approval_id)
        if approval is not None and refusal.status == 400 and not wants_fragment(request):
            return _show(request, approval, refusal.message)
        return refuse(request, refusal)
    return _done(request, answered)


def _arguments(typed: str) -> dict[str, Any]:
    try:
        arguments = msgspec.json.decode(typed.encode())
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise Refused(400, "invalid_request_error", f"The arguments are not JSON: {error}.") from None
    if not isinstance(arguments, dict):
        raise Refused(400, "invalid_request_error", "The arguments are a JSON object, in braces.")
    return arguments


@require_POST
@person_required
def answer(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    approval = approvals.open_for(person(request), approval_id)
    action = "accept" if request.POST.get("action") == "accept" else "decline"
    try:
        if approval is None:
            raise Refused(404, "not_found_error", GONE)
        content = values_of(of_approval(approval).schema, request.POST.dict()) if action == "accept" else None
        answered = approvals.answer_form(
            person(request), approval_id, request.POST.get("token", ""), cast(approvals.Action, action), content=content
        )
    except ValueError as error:
        return refuse(request, Refused(400, "invalid_request_error", str(error)))
    except Refused as refusal:
        return refuse(request, refusal)
    return _done(request, answered)


def _done(request: HttpRequest, approval: Approval) -> HttpResponse:
    return HttpResponse(status=204) if wants_fragment(request) else redirect("thread", approval.call.turn.thread_id)
