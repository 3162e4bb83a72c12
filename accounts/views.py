"""The settings pages; the ones that allauth brings share their navigation (templates/settings/_nav.html)."""

from typing import cast

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts import actions, sessions
from accounts.forms import AppearanceForm, ChatForm, CloseAccountForm, ProfileForm, UserForm
from accounts.models import User


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _edit(request: HttpRequest, form_class: type[UserForm], page: str) -> HttpResponse:
    """Show a form over the signed-in user, or save it and come back."""
    # A second instance, so that a refused value does not show up in the rest of the page.
    form = form_class(request.POST or None, instance=User.objects.get(pk=_user(request).pk))
    if request.method == "POST" and form.is_valid():
        form.instance.save(update_fields=form.Meta.fields)  # type: ignore[attr-defined]
        messages.success(request, "Saved.")
        return redirect(page)
    return render(request, f"settings/{page.removeprefix('settings_')}.html", {"form": form}, status=400 if form.errors else 200)


@login_required
@never_cache
def profile(request: HttpRequest) -> HttpResponse:
    return _edit(request, ProfileForm, "settings_profile")


@login_required
@never_cache
def appearance(request: HttpRequest) -> HttpResponse:
    return _edit(request, AppearanceForm, "settings_appearance")


@login_required
@never_cache
def chat(request: HttpRequest) -> HttpResponse:
    return _edit(request, ChatForm, "settings_chat")


@login_required
@never_cache
def security(request: HttpRequest) -> HttpResponse:
    user = _user(request)
    kinds = list(Authenticator.objects.filter(user=user).values_list("type", flat=True))
    return render(
        request,
        "settings/security.html",
        {
            "addresses": EmailAddress.objects.filter(user=user).order_by("-primary", "email"),
            "totp": Authenticator.Type.TOTP in kinds,
            "recovery_codes": Authenticator.Type.RECOVERY_CODES in kinds,
            "passkeys": kinds.count(Authenticator.Type.WEBAUTHN),
            "session_count": len(sessions.keys_of(user)),
            "connections": SocialAccount.objects.filter(user=user).count(),
        },
    )


@login_required
@require_POST
def end_session(request: HttpRequest, session_id: int) -> HttpResponse:
    if not sessions.end(_user(request), session_id):
        raise Http404
    messages.success(request, "That session is signed out.")
    return redirect("usersessions_list")


@login_required
@never_cache
def data(request: HttpRequest) -> HttpResponse:
    return render(request, "settings/data.html")


@login_required
@never_cache
def close(request: HttpRequest) -> HttpResponse:
    user = _user(request)
    form = CloseAccountForm(request, user)
    if request.method == "POST" and form.is_valid():
        actions.close_account(user)
        logout(request)
        messages.success(request, "Your account is closed and everything in it is erased.")
        return redirect("account_login")
    return render(request, "settings/close.html", {"form": form}, status=400 if form.errors else 200)
