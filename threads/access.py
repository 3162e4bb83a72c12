"""Who is asking, and how a page says no."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.models import User
from threads.actions import Refused

Args = ParamSpec("Args")
View = Callable[Concatenate[HttpRequest, Args], HttpResponse]


def person(request: HttpRequest) -> User:
    """The signed-in user; only behind `login_required` or `person_required`."""
    assert isinstance(request.user, User)
    return request.user


def wants_fragment(request: HttpRequest) -> bool:
    """Whether a script asks, which puts a piece of HTML in place, or a browser, which shows a page."""
    return request.headers.get("X-Requested-With") == "fetch" or "HX-Request" in request.headers


def person_required(view: View[Args]) -> View[Args]:
    """As `login_required`, but a script gets a 401 that says so: a redirect would bring it a sign-in page as its answer."""

    @wraps(view)
    def wrapped(request: HttpRequest, /, *args: Args.args, **kwargs: Args.kwargs) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if wants_fragment(request):
            sentence = "You are signed out. Your text is kept: sign in and send it again."
            return refuse(request, Refused(401, "authentication_error", sentence))
        return redirect_to_login("/" if request.method == "POST" else request.get_full_path())

    return wrapped


def refuse(request: HttpRequest, refusal: Refused) -> HttpResponse:
    """The refusal as a fragment for scripts, as a page for browsers; 404 looks like every other 404."""
    fragment = wants_fragment(request)
    if refusal.status == 404 and not fragment:
        raise Http404
    template = "threads/_refusal.html" if fragment else "503.html" if refusal.status == 503 else "threads/refused.html"
    response = render(request, template, {"refusal": refusal}, status=refusal.status)
    if refusal.retry_after is not None:
        response["Retry-After"] = str(refusal.retry_after)
    return response
