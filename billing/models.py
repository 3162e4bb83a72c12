"""Money as rows: what may be spent, what is held for calls under way, and every movement. Integers in micro-dollars.

Only `billing/actions.py` (and the statements it lends to admission and to the generating process) writes these tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from chatai.lib.ids import uuid7

if TYPE_CHECKING:
    from accounts.models import ApiKey, User


class BudgetQuerySet(models.QuerySet["Budget"]):
    def for_user(self, user: User) -> BudgetQuerySet:
        """The account's own budget and those of its keys."""
        return self.filter(Q(user=user) | Q(key__user=user))

    def for_key(self, key: ApiKey) -> BudgetQuerySet:
        return self.filter(key=key)


class Budget(models.Model):
    """What one account, or one key, may spend in its whole life. Both are asked before a provider is called."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="budget")
    key = models.OneToOneField("accounts.ApiKey", null=True, blank=True, on_delete=models.CASCADE, related_name="budget")
    limit_micros = models.BigIntegerField(null=True, blank=True, help_text="Empty: unlimited. Below what is spent: that much is owed.")
    spent_micros = models.BigIntegerField(default=0, help_text="Sum of the ledger's costs.")
    reserved_micros = models.BigIntegerField(default=0, help_text="Sum of the holds of calls under way.")
    alerted_percent = models.SmallIntegerField(default=0, help_text="The highest share of the limit that was told: 0, 50, 80 or 100.")
    changed_at = models.DateTimeField(default=timezone.now, help_text="When the limit last changed.")

    objects = BudgetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(spent_micros__gte=0), name="budget_spent_not_negative"),
            models.CheckConstraint(condition=Q(reserved_micros__gte=0), name="budget_reserved_not_negative"),
            models.CheckConstraint(condition=Q(alerted_percent__in=[0, 50, 80, 100]), name="budget_alert_known"),
            models.CheckConstraint(condition=Q(user__isnull=False, key=None) | Q(user=None, key__isnull=False), name="budget_of_one_owner"),
        ]

    def __str__(self) -> str:
        return f"budget of {f'user {self.user_id}' if self.user_id else f'key {self.key_id}'}"

    @property
    def left_micros(self) -> int | None:
        """What the next call can hold; None when unlimited, negative when more is owed than was paid."""
        return None if self.limit_micros is None else self.limit_micros - self.spent_micros - self.reserved_micros


class PriceVersion(models.Model):
    """A price that something was admitted at. Its id follows from what it says, so the same price is one row for ever."""

    id = models.UUIDField(primary_key=True, editable=False)
    model = models.CharField(max_length=100, help_text="Slug.")
    price = models.JSONField(help_text="USD per million tokens by kind, as decimal strings (see pricing.py).")
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.model} as of {self.created_at:%Y-%m-%d}"


class Reservation(models.Model):
    """Money held for a call. A turn's hold has the turn's id; a side call's an id of its own."""

    class State(models.TextChoices):
        HELD = "held", "Held"
        SETTLED = "settled", "Settled"
        RELEASED = "released", "Released"  # nothing was asked of the provider
        EXPIRED = "expired", "Expired"  # freed by the sweeper

    class Kind(models.TextChoices):
        TURN = "turn", "Turn"
        TITLE = "title", "Title"
        SUMMARY = "summary", "Summary"
        EMBEDDING = "embedding", "Embedding"
        TOOL = "tool", "Tool"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=9, choices=Kind, default=Kind.TURN)
    # Without indexes and constraints: written with every turn, looked up by budget only when an account closes.
    account = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    key = models.ForeignKey(Budget, null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False)
    amount_micros = models.BigIntegerField()
    max_tokens = models.IntegerField(help_text="Output that the amount pays for; what the provider may be asked for.")
    input_tokens = models.IntegerField(help_text="Input that the amount pays for.")
    context_tokens = models.IntegerField(help_text="At most what the conversation is from here on: the next turn's input.")
    price_version = models.ForeignKey(PriceVersion, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False)
    state = models.CharField(max_length=8, choices=State, default=State.HELD)
    lease_until = models.DateTimeField(help_text="From then on the sweeper looks whether its turn still needs it.")
    created_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index("lease_until", condition=Q(state="held"), name="reservation_held")]
        constraints = [
            models.CheckConstraint(condition=Q(amount_micros__gte=0), name="reservation_not_negative"),
            models.CheckConstraint(condition=Q(state__in=["held", "settled", "released", "expired"]), name="reservation_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.amount_micros} for {self.kind} {self.id}"

    @property
    def turn_id(self) -> UUID | None:
        return self.id if self.kind == self.Kind.TURN else None


PAYMENTS = ["credit", "refund", "adjust", "subscription", "dispute"]


class LedgerQuerySet(models.QuerySet["LedgerEntry"]):
    def for_user(self, user: User) -> LedgerQuerySet:
        return self.filter(user_id=user.pk)

    def for_key(self, key: ApiKey) -> LedgerQuerySet:
        return self.filter(user_id=key.user_id, key_id=key.pk)


class LedgerEntry(models.Model):
    """One movement. The database refuses to change or delete it; only who it was about can be erased (see `actions.erase`)."""

    class Kind(models.TextChoices):
        TURN = "turn", "Turn"
        TITLE = "title", "Title"
        SUMMARY = "summary", "Summary"
        EMBEDDING = "embedding", "Embedding"
        TOOL = "tool", "Tool"
        CREDIT = "credit", "Credit"
        REFUND = "refund", "Refund"
        ADJUST = "adjust", "Adjustment"
        SUBSCRIPTION = "subscription", "Subscription"
        DISPUTE = "dispute", "Dispute"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=12, choices=Kind)
    source = models.CharField(max_length=255, help_text="What it stands for: posted once.")
    user_id = models.UUIDField(null=True, blank=True)
    key_id = models.UUIDField(null=True, blank=True)
    end_user_id = models.CharField(max_length=255, null=True, blank=True)
    thread_id = models.UUIDField(null=True, blank=True)
    turn_id = models.UUIDField(null=True, blank=True)
    provider = models.CharField(max_length=20, blank=True)
    model = models.CharField(max_length=100, blank=True)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    estimated = models.BooleanField(default=False, help_text="The provider gave no figures: input and what was received are charged.")
    price_version = models.ForeignKey(
        PriceVersion, null=True, blank=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    cost_micros = models.BigIntegerField(default=0, help_text="Spent; raises what the account and the key have spent.")
    amount_micros = models.BigIntegerField(default=0, help_text="Paid in, or taken back; changes the account's limit.")
    reason = models.TextField(blank=True)
    actor_id = models.UUIDField(null=True, blank=True, help_text="The admin who did it.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = LedgerQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "ledger entries"
        indexes = [
            models.Index("user_id", F("created_at").desc(), name="ledger_of_user"),
            models.Index("key_id", F("created_at").desc(), name="ledger_of_key"),
            # For the lists in admin, and next to nothing for a turn: rows come in the order of time, and few have amounts.
            BrinIndex("created_at", name="ledger_by_day", autosummarize=True),
            models.Index(F("created_at").desc(), condition=Q(kind__in=PAYMENTS), name="ledger_payments"),
            models.Index(F("created_at").desc(), condition=Q(estimated=True), name="ledger_estimated"),
        ]
        constraints = [
            models.UniqueConstraint("source", name="ledger_source_once"),  # not `unique`, which would bring a second index for LIKE
            models.CheckConstraint(condition=Q(cost_micros__gte=0), name="ledger_cost_not_negative"),
            models.CheckConstraint(condition=Q(cost_micros=0) | Q(amount_micros=0), name="ledger_one_movement"),
            models.CheckConstraint(
                condition=Q(input_tokens__gte=0, output_tokens__gte=0, cache_read_tokens__gte=0, cache_write_tokens__gte=0),
                name="ledger_tokens_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.source}"


class StripeEvent(models.Model):
    """An event of Stripe's, applied once."""

    id = models.CharField(max_length=255, primary_key=True, help_text="Stripe's own id.")
    type = models.CharField(max_length=100)
    object_id = models.CharField(max_length=255, blank=True)
    created = models.DateTimeField(help_text="When it happened, by Stripe's clock.")
    received_at = models.DateTimeField(default=timezone.now)
    applied_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=255, blank=True)

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class LedgerCheck(models.Model):
    """One run of the proof that lines and counters agree (see audit.py)."""

    checked_at = models.DateTimeField(default=timezone.now, db_index=True)
    seconds = models.FloatField()
    lines = models.BigIntegerField()
    budgets = models.BigIntegerField()
    differences = models.IntegerField(help_text="0: every micro-dollar is explained.")
    first = models.TextField(blank=True, help_text="The first line that differs.")

    def __str__(self) -> str:
        return f"{self.checked_at:%Y-%m-%d %H:%M}: {self.differences} differences"


class StripeCustomer(models.Model):
    """Who an account is at Stripe. Without a user: the account was closed, and the customer is still to be deleted there."""

    id = models.CharField(max_length=255, primary_key=True, help_text="Stripe's own id.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    metered_since = models.DateTimeField(
        null=True,
        blank=True,
        help_text="From then on, what the keys of this account spend is reported to Stripe's meter. For accounts without a limit.",
    )
    created_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="Since when Stripe does not have it any more.")

    class Meta:
        constraints = [models.UniqueConstraint("user", condition=Q(deleted_at=None), name="stripe_customer_one_of_user")]
        indexes = [models.Index("id", condition=Q(user=None, deleted_at=None), name="stripe_customer_to_delete")]

    def __str__(self) -> str:
        return self.id


class MeterReport(models.Model):
    """That a ledger line was, or is being, reported to Stripe's meter (see `billing/metering.py`)."""

    entry_id = models.UUIDField(primary_key=True, help_text="The ledger line.")
    customer_id = models.CharField(max_length=255)
    first_claimed_at = models.DateTimeField()
    claimed_at = models.DateTimeField()
    reported_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index("claimed_at", condition=Q(reported_at=None), name="meterreport_open")]

    def __str__(self) -> str:
        return f"{self.entry_id} for {self.customer_id}"
