"""`/v1/keys`: mint, list, cap, revoke. Admin keys only."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from ninja.errors import HttpError
from ninja.responses import Status
from pydantic import Field, field_validator

from accounts import keys
from accounts.access import admin_key, key_of
from accounts.models import ApiKey

router = Router(auth=admin_key, tags=["keys"])

Usd = Decimal | None
CAP = Field(default=None, ge=0, le=1_000_000_000, allow_inf_nan=False, description="Lifetime cap in US dollars; null means none.")


class Mint(Schema):
    name: str = Field(min_length=1, max_length=400)
    scope: Literal["standard", "admin", "master"] = "standard"
    max_spend_usd: Usd = CAP

    @field_validator("scope")
    @classmethod
    def master_is_admin(cls, scope: str) -> str:
        return "admin" if scope == "master" else scope


class Cap(Schema):
    max_spend_usd: Usd = Field(ge=0, le=1_000_000_000, allow_inf_nan=False)


class KeyOut(Schema):
    id: str
    name: str
    prefix: str
    scope: str
    max_spend_usd: float | None
    created_at: int
    last_used_at: int | None
    revoked: bool


class Minted(KeyOut):
    secret: str


class Revoked(Schema):
    ok: bool


class KeyList(Schema):
    keys: list[KeyOut]


@router.post("", response={201: Minted}, summary="Mint a key; its secret is shown once")
def mint(request: HttpRequest, payload: Mint) -> Status[dict[str, Any]]:
    """With an `Idempotency-Key` header the same mint can be repeated after a lost reply and answers with the same secret."""
    cap = _micros(payload.max_spend_usd)
    repeat = request.headers.get("Idempotency-Key", "")
    key, secret = keys.mint_once(key_of(request), repeat, name=payload.name, scope=payload.scope, max_spend_micros=cap)
    if (key.name, key.scope, key.max_spend_micros) != (payload.name, payload.scope, cap):
        raise HttpError(422, "This Idempotency-Key was already used to mint another key.")
    return Status(201, {**row(key), "secret": secret})


@router.get("", response=KeyList, summary="Every key of the account, revoked ones included")
def list_keys(request: HttpRequest) -> dict[str, Any]:
    return {"keys": [row(key) for key in ApiKey.objects.for_user(key_of(request).user)]}


@router.patch("/{uuid:key_id}", response=KeyOut, summary="Change a key's cap")
def change(request: HttpRequest, key_id: UUID, payload: Cap) -> dict[str, Any]:
    key = _own(request, key_id)
    key.max_spend_micros = _micros(payload.max_spend_usd)
    key.save(update_fields=["max_spend_micros"])
    return row(key)


@router.delete("/{uuid:key_id}", response=Revoked, summary="Revoke a key, from the next request on")
def revoke(request: HttpRequest, key_id: UUID) -> dict[str, bool]:
    keys.revoke(_own(request, key_id))
    return {"ok": True}


def _own(request: HttpRequest, key_id: UUID) -> ApiKey:
    return get_object_or_404(ApiKey.objects.for_user(key_of(request).user), pk=key_id)


def row(key: ApiKey) -> dict[str, Any]:
    """A key as lists show it."""
    return {
        "id": str(key.pk),
        "name": key.name,
        "prefix": key.prefix,
        "scope": key.scope,
        "max_spend_usd": None if key.max_spend_micros is None else key.max_spend_micros / 1_000_000,
        "created_at": int(key.created_at.timestamp() * 1000),
        "last_used_at": int(key.last_used_at.timestamp() * 1000) if key.last_used_at else None,
        "revoked": key.revoked_at is not None,
    }


def _micros(usd: Usd) -> int | None:
    return None if usd is None else keys.micros(usd)
