"""What a ledger line's thread, turn and model are called, for pages of the app below that lists them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from django.urls import reverse

from billing.described import Chat, Outcome
from threads.models import CatalogModel, Thread, Turn

if TYPE_CHECKING:
    from accounts.models import User


def chats(user: User, ids: Collection[UUID]) -> dict[UUID, Chat]:
    found = Thread.objects.for_user(user).filter(pk__in=ids).values_list("pk", "title")
    return {pk: Chat(title or "New chat", reverse("thread", args=[pk])) for pk, title in found}


def outcomes(user: User, ids: Collection[UUID]) -> dict[UUID, Outcome]:
    turns = Turn.objects.for_user(user).filter(pk__in=ids).only("status", "started_at", "finished_at")
    return {turn.pk: Outcome(_latency_ms(turn), 502 if turn.status == Turn.Status.FAILED else 200) for turn in turns}


def model_names() -> dict[str, str]:
    """Labels by slug, of models that are switched off too."""
    return dict(CatalogModel.objects.values_list("slug", "label"))


def _latency_ms(turn: Turn) -> int | None:
    if turn.started_at is None or turn.finished_at is None:
        return None
    return round((turn.finished_at - turn.started_at).total_seconds() * 1000)
