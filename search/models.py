"""The index: passages of messages as words and as vectors. All of it can be made anew from the conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

if TYPE_CHECKING:
    Field = models.Field[Any, Any]
else:
    Field = models.Field  # cannot be subscripted at run time

DIMENSIONS = 384  # of all-MiniLM-L6-v2; other models have to be able to give as many


class HalfVectorField(Field):
    """pgvector's `halfvec`: two bytes for each dimension. Written and compared in statements of their own, never read by the ORM."""

    def db_type(self, connection: Any) -> str:
        return f"halfvec({DIMENSIONS})"


class Generation(models.Model):
    """Everything indexed with one model. A new one is built beside the one that answers, and takes its place when it is complete."""

    class State(models.TextChoices):
        FILLING = "filling", "Being filled"
        SERVING = "serving", "Answers"
        RETIRED = "retired", "Replaced"

    id = models.BigAutoField(primary_key=True)
    model = models.CharField(max_length=200, help_text="Name of the embedding model; vectors of two models cannot be compared.")
    state = models.CharField(max_length=7, choices=State, default=State.FILLING)
    filled_to = models.UUIDField(null=True, blank=True, help_text="The last message that the filling has come to, in the order of ids.")
    messages_done = models.BigIntegerField(default=0, help_text="Messages that the filling has passed.")
    messages_total = models.BigIntegerField(default=0, help_text="Messages there were when the filling began.")
    created_at = models.DateTimeField(default=timezone.now)
    filled_at = models.DateTimeField(null=True, blank=True, help_text="When the words of all messages were in it.")
    serving_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("state", condition=Q(state="serving"), name="generation_one_serving"),
            models.UniqueConstraint("state", condition=Q(state="filling"), name="generation_one_filling"),
            models.CheckConstraint(condition=Q(state__in=["filling", "serving", "retired"]), name="generation_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.model} ({self.state})"


class Passage(models.Model):
    """A piece of a message: what one hit points at. The owner comes first in every index that a search reads."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="passages", db_index=False)
    message = models.ForeignKey("threads.Message", on_delete=models.CASCADE, related_name="+", db_index=False)
    number = models.SmallIntegerField(help_text="Place among the passages of its message, from 0.")
    passages = models.SmallIntegerField(help_text="How many passages its message has.")
    # Copies of what never changes in the conversation, for filters that need no other table.
    thread_id = models.UUIDField()
    turn_id = models.UUIDField()
    key_id = models.UUIDField(null=True)
    end_user_id = models.CharField(max_length=255, null=True)
    role = models.CharField(max_length=9)
    model = models.CharField(max_length=100)
    sent_at = models.DateTimeField(help_text="When the message was sent.")
    on_path = models.BooleanField(help_text="As its message; a trigger of the database keeps it so.")
    language = models.CharField(max_length=12, help_text="PostgreSQL's text search configuration.")
    text = models.TextField()
    words = SearchVectorField()
    vector = HalfVectorField(null=True, help_text="Of length 1. Empty until the embedder came to it.")
    due_at = models.DateTimeField(null=True, default=timezone.now, help_text="When the embedder takes it; empty when it has.")
    tries = models.SmallIntegerField(default=0, db_default=0)
    large = models.BooleanField(default=False, db_default=False, help_text="Of an owner with so many that an index of words pays.")
    huge = models.BooleanField(default=False, db_default=False, help_text="Of an owner with so many that one of neighbours pays.")
    indexed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index("user", "generation", "language", name="passage_of_owner"),
            models.Index("user", "thread_id", "generation", name="passage_of_thread"),
            models.Index("due_at", condition=Q(due_at__isnull=False), name="passage_due"),
            GinIndex(fields=["words"], condition=Q(large=True), name="passage_words_large"),
        ]
        constraints = [
            models.UniqueConstraint("message", "generation", "number", name="passage_once"),
            models.CheckConstraint(condition=Q(number__gte=0, passages__gt=F("number")), name="passage_number_sane"),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} [{self.number}]"


class LargeOwner(models.Model):
    """An account with so many passages that its searches go by index instead of by looking at each (see statement.py)."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField(default=timezone.now)
    ready = models.BooleanField(default=False, help_text="All of its passages are in the index of words.")
    huge = models.BooleanField(default=False, db_default=False, help_text="So many that neighbours, too, are found by index.")
    huge_ready = models.BooleanField(default=False, db_default=False, help_text="All of its passages are in that, too.")

    def __str__(self) -> str:
        return str(self.user_id)
