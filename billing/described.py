"""What a line of the ledger stands for in words that only apps above know; they hand it down in their AppConfig.ready."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from accounts.models import User


@dataclass(frozen=True, slots=True)
class Chat:
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn went, as an HTTP caller would say it."""

    latency_ms: int | None
    status: int


Chats = Callable[["User", Collection[UUID]], dict[UUID, Chat]]
Outcomes = Callable[["User", Collection[UUID]], dict[UUID, Outcome]]
Names = Callable[[], dict[str, str]]


@dataclass(slots=True)
class _Above:
    chats: Chats = lambda user, ids: {}
    outcomes: Outcomes = lambda user, ids: {}
    models: Names = dict


_above = _Above()


def offer(chats: Chats, outcomes: Outcomes, models: Names) -> None:
    """`chats` and `outcomes` answer for those of the ids that are the user's and still there; `models` gives labels by slug."""
    _above.chats, _above.outcomes, _above.models = chats, outcomes, models


def chats(user: User, ids: Collection[UUID]) -> dict[UUID, Chat]:
    return _above.chats(user, ids) if ids else {}


def outcomes(user: User, ids: Collection[UUID]) -> dict[UUID, Outcome]:
    return _above.outcomes(user, ids) if ids else {}


def model_names() -> dict[str, str]:
    return _above.models()
