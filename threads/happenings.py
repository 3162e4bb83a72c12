"""What happened in a turn: its journal, the calls of tools, what a person was asked about them, and what others are to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from chatai.lib.ids import uuid7

if TYPE_CHECKING:
    from accounts.models import ApiKey, User


class TurnEvent(models.Model):
    """The journal: what happened in a turn, as compact JSON, in order. Partitioned by `ring` (see `replies/journal.py`).

    `payload` is text, not jsonb: it goes out byte for byte, and jsonb would reorder its keys.
    """

    pk = models.CompositePrimaryKey("ring", "turn_id", "index")
    ring = models.SmallIntegerField()
    turn = models.ForeignKey("threads.Turn", on_delete=models.DO_NOTHING, db_constraint=False, related_name="events", db_index=False)
    index = models.IntegerField()
    epoch = models.IntegerField()
    payload = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "threads_turnevent"

    def __str__(self) -> str:
        return f"{self.turn_id} [{self.index}]"


class ToolCallQuerySet(models.QuerySet["ToolCall"]):
    def for_user(self, user: User) -> ToolCallQuerySet:
        return self.filter(turn__thread__user=user, turn__thread__deleted_at=None)

    def for_key(self, key: ApiKey) -> ToolCallQuerySet:
        return self.filter(turn__in=apps.get_model("threads", "Turn").objects.for_key(key))


class ToolCall(models.Model):
    """One call of a tool by the model, recorded before it runs and completed with what came back."""

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"  # it has not begun; where a person must allow it, it waits for that
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    turn = models.ForeignKey("threads.Turn", on_delete=models.CASCADE, related_name="tool_calls")
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="inner", help_text="The call that made this one."
    )
    tool_use_id = models.CharField(max_length=255)
    name = models.CharField(max_length=255, help_text="As the model said it, in the slash form.")
    kind = models.CharField(max_length=8, blank=True, default="", db_default="", help_text="Empty: there is no such tool.")
    source = models.CharField(max_length=255, blank=True, default="", db_default="", help_text="What ran it: a built-in, or a row's id.")
    version = models.CharField(max_length=80, blank=True, default="", db_default="", help_text="Of the tool, when it was called.")
    iteration = models.SmallIntegerField(default=1)
    position = models.SmallIntegerField(default=0, db_default=0, help_text="Among the calls of the turn, in the order they were made.")
    arguments = models.JSONField(help_text="What it ran with: as the model made them, or as the person edited them.")
    writes = models.BooleanField(default=True, db_default=True)
    repeatable = models.BooleanField(default=False, db_default=False, help_text="May run again when nobody knows whether it ran.")
    verdict = models.CharField(max_length=5, blank=True, default="", db_default="", help_text="allow, ask or deny.")
    verdict_by = models.CharField(max_length=100, blank=True, default="", db_default="", help_text="The rule, or whoever decided.")
    status = models.CharField(max_length=7, choices=Status, default=Status.PENDING)
    result = models.JSONField(null=True, blank=True)
    blocks = models.JSONField(default=list, db_default=[], blank=True, help_text="Pictures and files, as references.")
    is_error = models.BooleanField(default=False)
    error_kind = models.CharField(max_length=20, blank=True, default="", db_default="")
    credential = models.CharField(max_length=100, blank=True, default="", db_default="", help_text="Which one was used, never the secret.")
    http_status = models.SmallIntegerField(null=True, blank=True)
    output_bytes = models.IntegerField(default=0, db_default=0, help_text="Of the result as the model was told it.")
    cut = models.BooleanField(default=False, db_default=False, help_text="There was more than the model was told.")
    cost_micros = models.BigIntegerField(default=0, db_default=0)
    attempts = models.SmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    chain_number = models.IntegerField(null=True, blank=True, help_text="Place among the finished calls of the turn (see chain.py).")
    chain_hash = models.BinaryField(max_length=32, null=True, blank=True)

    objects = ToolCallQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index("turn", "created_at", name="toolcall_of_turn"),
            models.Index("name", F("created_at").desc(), name="toolcall_of_tool"),
            models.Index("status", F("created_at").desc(), name="toolcall_by_status"),
            models.Index(F("created_at").desc(), name="toolcall_newest"),
        ]
        constraints = [
            models.UniqueConstraint("turn", "tool_use_id", name="toolcall_once"),
            models.CheckConstraint(condition=Q(status__in=["pending", "running", "done", "failed"]), name="toolcall_status_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.status})"


class ApprovalQuerySet(models.QuerySet["Approval"]):
    def for_user(self, user: User) -> ApprovalQuerySet:
        return self.filter(call__turn__thread__user=user, call__turn__thread__deleted_at=None)

    def for_key(self, key: ApiKey) -> ApprovalQuerySet:
        return self.filter(call__turn__in=apps.get_model("threads", "Turn").objects.for_key(key))

    def pending(self) -> ApprovalQuerySet:
        return self.filter(state=Approval.State.PENDING)


class Approval(models.Model):
    """What waits for a person: whether a call may run, or a form that a running tool wants filled in.

    Its token follows from the row (see `approvals.token_of`): it is for this question and these arguments, and works once.
    """

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        ALLOWED = "allowed", "Allowed"
        DENIED = "denied", "Denied"
        EXPIRED = "expired", "Expired"
        ANSWERED = "answered", "Answered"
        CANCELLED = "cancelled", "Cancelled"  # what asked is over

    class Kind(models.TextChoices):
        APPROVAL = "approval", "Approval"
        FORM = "form", "Form"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    call = models.ForeignKey(ToolCall, on_delete=models.CASCADE, related_name="approvals")
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.APPROVAL)
    state = models.CharField(max_length=9, choices=State, default=State.PENDING)
    arguments = models.JSONField(help_text="Exactly what the person was asked about.")
    arguments_digest = models.BinaryField(max_length=32, help_text="SHA-256 of the tool, its version and these arguments.")
    question = models.JSONField(null=True, blank=True, help_text="Of a form: who asks, its message and its schema.")
    decision = models.CharField(max_length=8, blank=True, default="", help_text="once, chat or deny; accept, decline or cancel for a form.")
    edited = models.JSONField(null=True, blank=True, help_text="The arguments as the person changed them, or what was filled in.")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    decided_with = models.ForeignKey("accounts.ApiKey", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        indexes = [models.Index("expires_at", condition=Q(state="pending"), name="approval_open")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["pending", "allowed", "denied", "expired", "answered", "cancelled"]), name="approval_state_known"
            ),
            models.CheckConstraint(condition=Q(kind__in=["approval", "form"]), name="approval_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.call_id} ({self.state})"


class Outbox(models.Model):
    """A turn that ended, for whoever makes something of it elsewhere: written with its end, so that none is missed; deleted when done.

    Without foreign keys, which cost at every end: a turn can be gone when its row is read.
    """

    class Kind(models.TextChoices):
        INDEX = "index", "To be found by search"

    id = models.BigAutoField(primary_key=True)
    turn_id = models.UUIDField()
    kind = models.CharField(max_length=8, choices=Kind)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.kind} {self.turn_id}"
