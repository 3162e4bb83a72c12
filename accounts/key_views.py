"""The API keys page: mint, look at, revoke; always the person's own."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache

from accounts import keys, preferences, snippets
from accounts.forms import KeyForm
from accounts.models import ApiKey, User


@login_required
@never_cache
def list_keys(request: HttpRequest) -> HttpResponse:
    """Shows the keys; a POST mints one and shows its secret in the answer, which nothing keeps."""
    user = cast(User, request.user)
    form = KeyForm(request.POST or None, initial={"id": uuid.uuid4(), "scope": ApiKey.Scope.STANDARD})
    minted: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        made = form.cleaned_data
        minted = _mint(user, made["id"], made["name"], made["scope"], made["max_spend_usd"])
        if not minted:  # sent a second time
            messages.info(
                request, "That key was made already. Its secret was shown then; if you missed it, revoke the key and make another."
            )
            return redirect("settings_keys")
        form = KeyForm(initial={"id": uuid.uuid4(), "scope": ApiKey.Scope.STANDARD})
    mine = ApiKey.objects.for_user(user)
    model = user.default_model or next((slug for slug, _ in preferences.model_choices()), "demo")
    page = {
        "form": form,
        **minted,
        "usable": mine.filter(revoked_at=None).order_by("-personal", "-created_at"),
        "revoked": mine.exclude(revoked_at=None),
        "languages": snippets.LANGUAGES.items(),
        "calls": snippets.calls(request.build_absolute_uri("/").rstrip("/"), model),
    }
    return render(request, "settings/keys.html", page, status=400 if form.errors else 200)


def _mint(user: User, key_id: UUID, name: str, scope: str, cap: Decimal | None) -> dict[str, Any]:
    """The key and its secret; nothing when the form's id was used before."""
    try:
        with transaction.atomic():
            key, secret = keys.mint(user, name, scope, None if cap is None else keys.micros(cap), id=key_id)
    except IntegrityError:
        return {}
    return {"key": key, "secret": secret}


@login_required
@never_cache
def revoke_key(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """Asks first. The personal key is not offered: the person's own chats run on it."""
    mine = ApiKey.objects.for_user(cast(User, request.user)).filter(personal=False, revoked_at=None)
    key = get_object_or_404(mine, pk=key_id)
    if request.method != "POST":
        return render(request, "settings/revoke_key.html", {"key": key})
    keys.revoke(key)
    messages.success(request, f"“{key.name}” is revoked. Apps that use it are refused from now on.")
    return redirect("settings_keys")
