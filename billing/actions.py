"""The only code that moves money. Integers in micro-dollars; the account's gate is always locked before the key's.

A turn's own money moves inside the statements that admit and finish it (`billing/statements.py` lends them their parts, so
that neither needs a statement more): reserve in ADMIT, settle in FINISH. Here is everything else. Any number of processes may
call these at once; whatever has a `source` is posted once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import ApiKey, User
from billing import side_calls, statements
from billing.gates import Grant
from billing.models import Budget, LedgerEntry
from billing.side_calls import SideCall

LOWERING = frozenset({LedgerEntry.Kind.REFUND.value, LedgerEntry.Kind.DISPUTE.value})


def open_account(user: User) -> None:
    """The budget of an account: NEW_USER_BUDGET_USD, or unlimited for operators. There already: nothing happens."""
    limit = None if user.is_staff or user.is_superuser else int(settings.NEW_USER_BUDGET_USD * 1_000_000)
    with transaction.atomic():
        _, opened = Budget.objects.get_or_create(user=user, defaults={"limit_micros": limit})
        if opened and limit:
            _post(user, limit, LedgerEntry.Kind.CREDIT, f"account:{user.pk}", "New account", None)


def cap_key(key_id: UUID, limit_micros: int | None) -> None:
    """What a key may spend in its whole life; None: no cap of its own."""
    Budget.objects.update_or_create(key_id=key_id, defaults={"limit_micros": limit_micros, "changed_at": timezone.now()})


def open_missing(user: User, key_id: UUID | None) -> None:
    """Budgets of rows that were written past the signals (bulk inserts, fixtures)."""
    open_account(user)
    key = ApiKey.objects.for_user(user).filter(pk=key_id).first() if key_id else None
    if key is not None:
        Budget.objects.bulk_create([Budget(key=key, limit_micros=key.max_spend_micros)], ignore_conflicts=True)


def credit(user: User, amount_micros: int, kind: str, source: str, reason: str = "", actor: User | None = None) -> LedgerEntry | None:
    """Move the account's limit by a positive amount: up, or down for `refund` and `dispute`. Once per `source`.

    The line, or None when this source was posted before. The cap of the personal key moves along, so that what was paid can be
    spent in the browser. An unlimited budget stays unlimited, and its line says so by an amount of 0. Lowered below what is
    spent, the rest is owed, and the next send is refused. Raises ValueError for an amount that is not positive.
    """
    if amount_micros <= 0:
        raise ValueError(f"{amount_micros} micro-dollars cannot be credited; a refund or dispute says so by its kind.")
    return _move(user, -amount_micros if kind in LOWERING else amount_micros, kind, source, reason, actor)


def adjust(user: User, limit_micros: int | None, source: str, reason: str, actor: User | None = None) -> LedgerEntry | None:
    """Set the account's limit (None: unlimited), with an `adjust` line of the difference. Once per `source`.

    To unlimited takes back what the limit was, and from unlimited gives all of it: lines sum up to the limit either way.
    """
    with transaction.atomic():
        budget = _locked(user)
        amount = (limit_micros or 0) - (budget.limit_micros or 0)
        line = _post(user, amount, LedgerEntry.Kind.ADJUST, source, reason, actor)
        if line is not None:
            _set_limit(user, budget, limit_micros)
        return line


def _move(user: User, amount: int, kind: str, source: str, reason: str, actor: User | None) -> LedgerEntry | None:
    if LedgerEntry.objects.filter(source=source).exists():  # most of Stripe's events repeat what others said: no lock for those
        return None
    with transaction.atomic():
        budget = _locked(user)
        unlimited = budget.limit_micros is None
        line = _post(user, 0 if unlimited else amount, kind, source, reason, actor)
        if line is not None and budget.limit_micros is not None:
            _set_limit(user, budget, budget.limit_micros + amount)
        return line


def _locked(user: User) -> Budget:
    open_account(user)
    return Budget.objects.select_for_update(no_key=True).get(user=user)


def _post(user: User, amount: int, kind: str, source: str, reason: str, actor: User | None) -> LedgerEntry | None:
    """The line, or None when its source was posted before."""
    line = LedgerEntry(
        source=source, kind=kind, user_id=user.pk, amount_micros=amount, reason=reason, actor_id=actor.pk if actor is not None else None
    )
    LedgerEntry.objects.bulk_create([line], ignore_conflicts=True)
    return LedgerEntry.objects.filter(pk=line.pk).first()


def _set_limit(user: User, budget: Budget, limit: int | None) -> None:
    """The account's limit, and by as much the cap of its personal key (which has one as long as the account has)."""
    now = timezone.now()
    before, budget.limit_micros = budget.limit_micros, limit
    Budget.objects.filter(pk=budget.pk).update(limit_micros=limit, changed_at=now)
    personal = ApiKey.objects.for_user(user).filter(personal=True, revoked_at=None).first()
    if personal is None:
        return
    if limit is None or before is None:
        cap = limit
    elif personal.max_spend_micros is None:
        return
    else:
        cap = max(personal.max_spend_micros + limit - before, 0)
    ApiKey.objects.filter(pk=personal.pk).update(max_spend_micros=cap)
    Budget.objects.filter(key=personal).update(limit_micros=cap, changed_at=now)


def lift_limits(user: User) -> None:
    """Unlimited, the account and its personal key: for operators' own accounts. Already so: nothing happens."""
    if Budget.objects.filter(user=user, limit_micros=None).exists():
        return
    adjust(user, None, source=f"operator:{user.pk}", reason="Account of the operator")


def reserve_side_call(call: SideCall) -> Grant:
    """Hold the whole price of a call beside the turns; a grant without `micros` when there is not that much left."""
    with connection.cursor() as cursor:
        cursor.execute(statements.RESERVE, side_calls.reserve_values(call))
        return Grant(*cursor.fetchone())


def settle_side_call(call: SideCall, usage: Mapping[str, Any]) -> int:
    """Turn the hold into a line of its own kind; its cost. No usage: nothing was asked, and the hold is given back."""
    values = side_calls.settle_values(call, usage)
    with connection.cursor() as cursor:
        cursor.execute(statements.SETTLE, values)
    return int(values["cost"])


def release(hold_id: UUID, state: Literal["released", "expired"] = "released") -> bool:
    """Give a hold back: nothing was asked of the provider, or nobody is left to say so. False: it was not held any more."""
    with connection.cursor() as cursor:
        cursor.execute(statements.FREE, {"hold": hold_id, "state": state})
        return bool(cursor.fetchone()[0])


ERASE = """
UPDATE billing_ledgerentry SET user_id = NULL, key_id = NULL, end_user_id = NULL, thread_id = NULL, turn_id = NULL,
    source = 'erased:' || id, reason = '', actor_id = NULL
WHERE user_id = %s
"""


def erase(user: User) -> None:
    """Keep the account's lines without identity, for good; its budgets and holds go with the account."""
    with connection.cursor() as cursor:
        cursor.execute(ERASE, [user.pk])
    if user.is_staff:
        LedgerEntry.objects.filter(actor_id=user.pk).update(actor_id=None)


def erase_end_user(user: User, end_user_id: str) -> None:
    """Keep the lines of an app's end user without saying whose they were."""
    LedgerEntry.objects.for_user(user).filter(end_user_id=end_user_id).update(end_user_id=None)
