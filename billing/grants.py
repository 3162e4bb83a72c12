"""What an admin may do to an account's budget: give credit, or set the limit. Each is one line of the ledger, with a reason."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms

from accounts.models import User
from billing import actions
from billing.models import LedgerEntry
from chatai.lib.ids import uuid7

MICROS = 1_000_000
MOST_USD = Decimal(1_000_000)


def _dollars(label: str, least: str, **rest: Any) -> forms.DecimalField:
    return forms.DecimalField(label=label, min_value=Decimal(least), max_value=MOST_USD, decimal_places=2, **rest)


class Movement(forms.Form):
    """`once` was made with the page: a form that is sent twice moves money once."""

    reason = forms.CharField(
        max_length=500, widget=forms.Textarea(attrs={"rows": 2, "cols": 60}), help_text="Kept in the ledger as long as the account."
    )
    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid7)

    @property
    def source(self) -> str:
        return f"admin:{self.cleaned_data['once']}"

    def move(self, user: User, actor: User) -> LedgerEntry | None:
        """The line; None when this very form was posted before."""
        raise NotImplementedError


class Grant(Movement):
    usd = _dollars("Amount in USD", "0.01", help_text="Added to the limit. The cap of the personal key moves along.")
    field_order = ("usd", "reason")

    def move(self, user: User, actor: User) -> LedgerEntry | None:
        amount = int(self.cleaned_data["usd"] * MICROS)
        return actions.credit(user, amount, LedgerEntry.Kind.CREDIT, self.source, self.cleaned_data["reason"], actor)


class Limit(Movement):
    usd = _dollars("New limit in USD", "0", required=False, help_text="Of all that the account may ever spend, what is spent included.")
    unlimited = forms.BooleanField(required=False, label="No limit", help_text="For operators' own accounts.")
    field_order = ("usd", "unlimited", "reason")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if "usd" in given and (given["usd"] is None) != bool(given.get("unlimited")):
            raise forms.ValidationError("Give either a limit or no limit.")
        return given

    def move(self, user: User, actor: User) -> LedgerEntry | None:
        usd = self.cleaned_data["usd"]
        return actions.adjust(user, None if usd is None else int(usd * MICROS), self.source, self.cleaned_data["reason"], actor)
