"""What happened in a turn: its journal, the calls of tools, and what others are to be told."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from chatai.lib.ids import uuid7


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


class ToolCall(models.Model):
    """One call of a tool by the model, recorded before it runs and completed with what came back."""

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    turn = models.ForeignKey("threads.Turn", on_delete=models.CASCADE, related_name="tool_calls")
    tool_use_id = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    iteration = models.SmallIntegerField(default=1)
    arguments = models.JSONField()
    status = models.CharField(max_length=7, choices=Status, default=Status.PENDING)
    result = models.JSONField(null=True, blank=True)
    is_error = models.BooleanField(default=False)
    attempts = models.SmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index("turn", "created_at", name="toolcall_of_turn")]
        constraints = [
            models.UniqueConstraint("turn", "tool_use_id", name="toolcall_once"),
            models.CheckConstraint(condition=Q(status__in=["pending", "running", "done", "failed"]), name="toolcall_status_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.status})"


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
