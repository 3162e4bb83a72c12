"""Lines of the ledger as the generating process posts them, for tests of what is read from it."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.db.models import F, Q
from django.utils import timezone

from accounts.models import ApiKey, User
from billing.models import Budget, LedgerEntry
from chatai.lib.ids import uuid7


def spend(
    user: User,
    micros: int,
    *,
    key: ApiKey | None = None,
    model: str = "demo",
    at: dt.datetime | None = None,
    thread_id: UUID | None = None,
    **more: Any,
) -> LedgerEntry:
    """One call of `micros` micro-dollars: its line, and what the account and the key have spent."""
    key = key or user.api_keys.get(personal=True)
    line_id = uuid7()
    given = {"kind": "turn", "provider": "demo", "input_tokens": 100, "output_tokens": 10, "turn_id": uuid7(), **more}
    line = LedgerEntry.objects.create(
        id=line_id,
        source=f"test:{line_id}",
        user_id=user.pk,
        key_id=key.pk,
        thread_id=thread_id,
        model=model,
        cost_micros=micros,
        created_at=at or timezone.now(),
        **given,
    )
    for owner in ({"user": user}, {"key": key}):
        Budget.objects.filter(**owner).update(spent_micros=F("spent_micros") + micros)
    return line


def lift_limits(user: User) -> None:
    """Of the account and its keys: for tests of anything but money that send more than a new account may spend."""
    Budget.objects.filter(Q(user=user) | Q(key__user=user)).update(limit_micros=None)


def set_limit(user: User, micros: int | None) -> None:
    Budget.objects.filter(user=user).update(limit_micros=micros)
