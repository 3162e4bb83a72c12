"""What the two gates answered: money is held, or which of them had not enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

Reason = Literal["wallet_exhausted", "key_cap_exceeded"]


@dataclass(frozen=True, slots=True)
class Grant:
    """The columns of `statements.GRANT`. Micro-dollars."""

    micros: int | None  # held now; None: nothing is
    output_tokens: int | None  # what that pays for
    least_micros: int | None  # what a hold would have been at the least
    key_id: UUID | None
    account_budget: int | None
    key_budget: int | None
    account_limit: int | None
    account_spent: int | None
    account_reserved: int | None
    key_limit: int | None
    key_spent: int | None
    key_reserved: int | None

    @property
    def asked(self) -> bool:
        """False: the gates were not asked at all, because the hold is not the asker's (any more)."""
        return self.least_micros is not None

    @property
    def unopened(self) -> bool:
        """A budget that should be asked is not there yet."""
        return self.account_budget is None or (self.key_id is not None and self.key_budget is None)

    def shortfall(self) -> Shortfall:
        """Why nothing is held."""
        needed = self.least_micros or 0
        account = Shortfall("wallet_exhausted", self.account_limit, self.account_spent or 0, self.account_reserved or 0, needed)
        if account.left_micros is not None and account.left_micros < needed:
            return account
        return Shortfall("key_cap_exceeded", self.key_limit, self.key_spent or 0, self.key_reserved or 0, needed)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The gate that had not enough. Micro-dollars."""

    reason: Reason
    limit_micros: int | None
    spent_micros: int
    reserved_micros: int
    needed_micros: int

    @property
    def left_micros(self) -> int | None:
        return None if self.limit_micros is None else self.limit_micros - self.spent_micros - self.reserved_micros

    @property
    def message(self) -> str:
        left = usd(max(self.left_micros or 0, 0))
        held = f" {usd(self.reserved_micros)} is held for answers under way." if self.reserved_micros else ""
        whose, remedy = "the account's balance", "Add credit, or ask whoever runs this site for more."
        if self.reason == "key_cap_exceeded":
            whose, remedy = "this key's cap", "Raise the cap of the key, or use another one."
        return f"This answer needs {usd(self.needed_micros)} or more, and {left} is left of {whose}.{held} {remedy}"

    @property
    def facts(self) -> dict[str, Any]:
        """What a refusal says beside its sentence (contract, decision 4)."""
        return {
            "reason": self.reason,
            "limit_micros": self.limit_micros,
            "spent_micros": self.spent_micros,
            "reserved_micros": self.reserved_micros,
        }


def usd(micros: int) -> str:
    """Dollars: cents for what can be said in cents, else as exact as it is."""
    if micros % 10_000 == 0:
        return f"${micros / 1_000_000:,.2f}"
    return f"${micros / 1_000_000:,.6f}".rstrip("0")
