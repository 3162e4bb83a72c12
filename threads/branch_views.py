"""What can be done about one turn: ask it again or otherwise, read another version, take it back, rate it, fork it, delete it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import User
from threads import actions, branches, compaction, forking, removal
from threads.access import person, person_required, refuse, wants_fragment
from threads.blocks import text_of
from threads.forms import AgainForm, EditForm, RateForm
from threads.models import Turn
from threads.providers import catalog
from threads.refusals import missing


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def edit(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """The question under other words; a page of its own where there is no script."""
    if request.method != "POST":
        return _edit_page(request, turn_id)
    form = EditForm(request.POST)
    if not form.is_valid():
        return refuse(request, actions.Refused(400, "invalid_request_error", form.problem))
    model, request_id = form.cleaned_data["model"], str(form.cleaned_data["request_id"])
    return _door(
        request,
        lambda user: actions.edit(user, turn_id, content=form.cleaned_data["text"], model=model, request_id=request_id).thread_id,
    )


def _edit_page(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    try:
        turn, question = branches.question_of(person(request), turn_id)
    except actions.Refused as refusal:
        raise Http404 from refusal
    models = catalog.offered()
    chosen = turn.model if turn.model in {model.slug for model in models} else catalog.default_model()
    page = {"turn": turn, "text": text_of(question), "models": models, "chosen_model": chosen, "request_id": uuid.uuid4()}
    return render(request, "threads/edit.html", page)


@require_POST
@person_required
def regenerate(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """Another answer to the same question, by the same model or another one."""
    form = AgainForm(request.POST)
    if not form.is_valid():
        return refuse(request, actions.Refused(400, "invalid_request_error", form.problem))
    model, request_id = form.cleaned_data["model"], str(form.cleaned_data["request_id"])
    return _door(
        request,
        lambda user: actions.regenerate(user, turn_id, model=model, request_id=request_id).thread_id,
    )


@require_POST
@person_required
def switch(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """Read this version, and what followed it; from the page of one of its messages, there."""

    def act(user: User) -> UUID:
        thread_id = _turn(user, turn_id).thread_id
        actions.switch(user, thread_id, turn_id)
        return thread_id

    answer = _door(request, act)
    at = request.POST.get("at", "")
    return redirect(f"{answer.url}?at={at}") if isinstance(answer, HttpResponseRedirect) and at.isdecimal() else answer


@require_POST
@person_required
def withdraw(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """Answers a script with the text of the message, which can go back into the composer."""
    try:
        thread_id = _turn(person(request), turn_id).thread_id
        text = actions.withdraw(person(request), turn_id)
    except actions.Refused as refusal:
        return refuse(request, refusal)
    return HttpResponse(text, content_type="text/plain; charset=utf-8") if wants_fragment(request) else redirect("thread", thread_id)


@require_POST
@person_required
def undo_summary(request: HttpRequest, compaction_id: UUID) -> HttpResponse:
    """Send the model the messages themselves again."""
    return _door(request, lambda user: compaction.undo(user, compaction_id))


@require_POST
@person_required
def rate(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """Thumbs up, down, or neither."""
    form = RateForm(request.POST)
    if not form.is_valid():
        return refuse(request, actions.Refused(400, "invalid_request_error", "A rating is 1, -1 or 0."))
    rating = form.cleaned_data["rating"] or None
    return _door(request, lambda user: actions.rate(user, turn_id, rating))


@require_POST
@person_required
def fork(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """Another conversation, from here on; a script is told where it is."""
    form = AgainForm(request.POST)
    if not form.is_valid():
        return refuse(request, actions.Refused(400, "invalid_request_error", form.problem))
    try:
        made = forking.fork(person(request), turn_id, form.cleaned_data["request_id"])
    except actions.Refused as refusal:
        return refuse(request, refusal)
    if not wants_fragment(request):
        return redirect("thread", made)
    return HttpResponse(status=201, headers={"Location": reverse("thread", args=[made])})


@require_POST
@person_required
def delete(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """Away with this turn and what follows it; a script gets the way back."""
    try:
        thread_id = _turn(person(request), turn_id).thread_id
        removal.delete_turn(person(request), turn_id)
    except actions.Refused as refusal:
        return refuse(request, refusal)
    return render(request, "threads/_turn_deleted.html", {"turn_id": turn_id}) if wants_fragment(request) else redirect("thread", thread_id)


@require_POST
@person_required
def undo_delete(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    def act(user: User) -> UUID:
        thread_id = _turn(user, turn_id).thread_id
        removal.undo_delete_turn(user, turn_id)
        return thread_id

    return _door(request, act)


def _door(request: HttpRequest, act: Callable[[User], UUID]) -> HttpResponse:
    """Do it; frames bring a script the rest, a browser is shown the conversation."""
    try:
        thread_id = act(person(request))
    except actions.Refused as refusal:
        return refuse(request, refusal)
    return HttpResponse(status=204) if wants_fragment(request) else redirect("thread", thread_id)


def _turn(user: User, turn_id: UUID) -> Turn:
    turn = Turn.objects.for_user(user).filter(pk=turn_id).first()
    if turn is None:
        raise missing()
    return turn
