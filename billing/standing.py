"""How a budget stands: what is left of it, and which of the soft alerts it has reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from billing.models import Budget

if TYPE_CHECKING:
    from accounts.models import ApiKey, User

LEVELS = (100, 80, 50)  # percent of the limit


@dataclass(frozen=True, slots=True)
class Standing:
    """Amounts in micro-dollars; `limit_micros` None: unlimited."""

    limit_micros: int | None
    spent_micros: int
    reserved_micros: int

    @property
    def left_micros(self) -> int | None:
        """Not spent yet, what is held for calls under way included; never negative."""
        return None if self.limit_micros is None else max(0, self.limit_micros - self.spent_micros)

    @property
    def owed_micros(self) -> int:
        return 0 if self.limit_micros is None else max(0, self.spent_micros - self.limit_micros)

    @property
    def percent(self) -> int:
        """Of the limit that is spent, 0 to 100, rounded down: 100 means all of it. Nothing allowed is nothing left."""
        if self.limit_micros is None:
            return 0
        return 100 if self.limit_micros <= 0 else min(100, 100 * self.spent_micros // self.limit_micros)

    @property
    def level(self) -> int:
        """The highest soft alert that is reached: 0, 50, 80 or 100."""
        return next((level for level in LEVELS if self.percent >= level), 0)

    @property
    def next_level_micros(self) -> int | None:
        """What may be spent until the next alert; None: there is none any more."""
        ahead = [level for level in LEVELS if level > self.percent]
        if self.limit_micros is None or not ahead:
            return None
        return -(-self.limit_micros * ahead[-1] // 100) - self.spent_micros


def standing_of(budget: Budget) -> Standing:
    return Standing(budget.limit_micros, budget.spent_micros, budget.reserved_micros)


def of_account(user: User) -> Standing:
    """As it was when first asked of this instance: a page asks several times."""
    return standing_of(user.budget)


def of_keys(keys: Iterable[ApiKey]) -> dict[UUID, Standing]:
    """By key."""
    return {budget.key_id: standing_of(budget) for budget in Budget.objects.filter(key__in=list(keys)) if budget.key_id}


def can_pay() -> bool:
    """Whether people can add money themselves; else an administrator grants it."""
    return bool(settings.STRIPE_SECRET_KEY)
