"""The hosted page of a one-time link (contract 12.5), the way back from a vendor's sign-in, and the settings' connect and disconnect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.models import User
from chatai.lib.later import LaterResponse
from tools import connect_forms, connect_links, connections, credentials, oauth, oauth_flow, registry
from tools.connected import ConnectLink
from tools.connections import Target
from tools.database import in_thread
from tools.holders import ACCOUNT
from tools.oauth_sites import OAuthError
from tools.values import ToolError

COOKIE = "connecting"  # holds a sign-in to the browser in which it was begun


@never_cache
def connect(request: HttpRequest, token: str) -> HttpResponseBase:
    """Shows what is asked for; a POST enters it, or goes to the vendor's sign-in."""
    link = connect_links.find(token)
    refusal = _refusal(request, link)
    if refusal is not None or link is None:
        return refusal or _ended(request)
    target = _target(link)
    if request.method != "POST":
        return _page(request, target, connect_forms.form_for(target.schema or {}))
    if "sign_in" in request.POST and target.signs_in:
        return LaterResponse(lambda: _sign_in(request, link, target))
    form = connect_forms.form_for(target.schema or {}, request.POST)
    if target.schema is None or not form.is_valid():
        return _page(request, target, form, 400)
    return LaterResponse(lambda: _enter(request, link, target, form))


@never_cache
@require_GET
def come_back(request: HttpRequest) -> HttpResponseBase:
    """Where the vendor sends people to after they signed in."""
    link = connect_links.find_by_state(request.GET.get("state", ""))
    refusal = _refusal(request, link)
    if refusal is not None or link is None:
        return refusal or _ended(request)
    answer = {name: request.GET.get(name, "")[:4000] for name in ("code", "iss", "error") if name in request.GET}
    browser = request.COOKIES.get(COOKIE, "")
    return LaterResponse(lambda: _finish(request, link, answer, browser))


@require_GET
def client_document(request: HttpRequest) -> HttpResponse:
    """Who we are, for services that take this address as our name (client metadata documents)."""
    return JsonResponse({"client_id": oauth.client_document_url(), **oauth.client_metadata(), "token_endpoint_auth_method": "none"})


@login_required
@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """From the settings, or a card that says that a connection is gone: to a one-time page for the person's own chats."""
    user, thread = cast(User, request.user), request.POST.get("thread", "")
    target = _wanted(request)
    try:
        address, _ = connections.link(user.pk, ACCOUNT, target, connect_links.thread_of(thread))
    except ToolError as error:
        messages.error(request, error.message)
        return redirect(_next(request))
    return redirect("connect", token=address.rpartition("/")[2])


@login_required
@require_POST
def end(request: HttpRequest) -> HttpResponseBase:
    """Disconnect; the vendor is told."""
    user, target = cast(User, request.user), _wanted(request)
    connection = credentials.of_holder(user.pk, ACCOUNT, target.service) if target.service else None
    messages.success(request, f"{target.title} is disconnected.")
    back = redirect(_next(request))

    async def gone() -> HttpResponseBase:
        if connection is not None:
            await connections.disconnect(connection)
        return back

    return LaterResponse(gone)


async def _sign_in(request: HttpRequest, link: ConnectLink, target: Target) -> HttpResponseBase:
    try:
        address, browser = await oauth_flow.begin(link)
    except OAuthError as error:
        return await in_thread(_page, request, target, connect_forms.form_for(target.schema or {}), 502, error.message)
    # A page with a link, not a redirect: browsers hold the redirect after a form against form-action, and people see where it goes.
    facts = {"target": target, "address": address, "host": urlsplit(address).hostname}
    response = await in_thread(render, request, "tools/connect_away.html", facts)
    response.set_cookie(COOKIE, browser, max_age=600, path="/connect/", httponly=True, samesite="Lax", secure=request.is_secure())
    return response


async def _enter(request: HttpRequest, link: ConnectLink, target: Target, form: Any) -> HttpResponseBase:
    given = connect_forms.cleaned(form)
    return await _connected(request, link, target, lambda: connections.connect(link.user_id, link.holder, target, given, by=link))


async def _finish(request: HttpRequest, link: ConnectLink, answer: dict[str, str], browser: str) -> HttpResponseBase:
    target = await in_thread(_target, link)
    response = await _connected(request, link, target, lambda: oauth_flow.finish(link, answer, browser))
    response.delete_cookie(COOKIE, path="/connect/")
    return response


async def _connected(request: HttpRequest, link: ConnectLink, target: Target, work: Callable[[], Awaitable[object]]) -> HttpResponse:
    try:
        await work()
    except (ToolError, OAuthError) as error:
        form = connect_forms.form_for(target.schema or {})
        ended = isinstance(error, OAuthError) and error.final
        return await in_thread(_page, request, target, form, 400, error.message, ended)
    back = link.thread_id if link.holder == ACCOUNT else None
    return await in_thread(render, request, "tools/connected.html", {"target": target, "thread_id": back, "own": link.holder == ACCOUNT})


def _refusal(request: HttpRequest, link: ConnectLink | None) -> HttpResponse | None:
    """None when the visitor may go on. A link for the person's own chats is of use to nobody else."""
    if link is None:
        return _ended(request)
    if link.holder == ACCOUNT and request.user != link.user:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return _ended(request)
    return None if connect_links.is_open(link) else _ended(request)


def _ended(request: HttpRequest) -> HttpResponse:
    return render(request, "tools/connect_ended.html", status=404)


def _page(request: HttpRequest, target: Target, form: Any, status: int = 200, problem: str = "", ended: bool = False) -> HttpResponse:
    return render(request, "tools/connect.html", {"target": target, "form": form, "problem": problem, "ended": ended}, status=status)


def _target(link: ConnectLink) -> Target:
    if link.server is not None:
        return connections.of_server(link.server)
    return connections.of_builtin(next(one for one in registry.builtins() if one.service == link.service))


def _wanted(request: HttpRequest) -> Target:
    target = connections.find(cast(User, request.user).pk, request.POST.get("tool", "")[:200])
    if target is None:
        raise Http404
    return target


def _next(request: HttpRequest) -> str:
    there = request.POST.get("next", "")
    return there if url_has_allowed_host_and_scheme(there, {request.get_host()}, request.is_secure()) else "/settings/"
