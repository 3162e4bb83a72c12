"""How an action says no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billing.gates import Shortfall


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """The request cannot be done. `message` is a sentence for the person, `status` what an HTTP door answers.

    `facts` are for programs: of a 402 the reason and the figures (contract, decision 4).
    """

    def __init__(self, status: int, kind: str, message: str, retry_after: int | None = None, facts: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.retry_after = retry_after  # seconds
        self.facts = facts or {}


def missing() -> Refused:
    return Refused(404, "not_found_error", "There is no such conversation.")


def unpaid(shortfall: Shortfall) -> Refused:
    """The account's balance or the key's cap has not enough for an answer."""
    return Refused(402, "billing_error", shortfall.message, facts=shortfall.facts)
