"""The conversation as rows. Rows are reached only through querysets that start from a user or a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from chatai.lib.ids import uuid7
from threads.happenings import Approval, Outbox, ToolCall, TurnEvent
from threads.operations import CatalogModel, Runner

if TYPE_CHECKING:
    from accounts.models import ApiKey, User

__all__ = [
    "Approval",
    "CatalogModel",
    "Compaction",
    "FileBytes",
    "Message",
    "Outbox",
    "Runner",
    "StoredFile",
    "Thread",
    "ToolCall",
    "Turn",
    "TurnEvent",
]


class ThreadQuerySet(models.QuerySet["Thread"]):
    def for_user(self, user: User) -> ThreadQuerySet:
        """What the person sees, whichever key made it; deleted threads are gone."""
        return self.filter(user=user, deleted_at=None)

    def for_key(self, key: ApiKey) -> ThreadQuerySet:
        """A standard key sees what it made; an admin key all of its account."""
        mine = self.filter(user_id=key.user_id, deleted_at=None)
        return mine if key.scope == "admin" else mine.filter(key=key)

    def deleted_of(self, user: User) -> ThreadQuerySet:
        """What *Undo* can still bring back."""
        return self.filter(user=user).exclude(deleted_at=None)

    def newest(self) -> ThreadQuerySet:
        return self.order_by("-last_active_at", "-id")

    def before(self, last: Thread) -> ThreadQuerySet:
        """What follows `last` in the order of `newest`."""
        same = Q(last_active_at=last.last_active_at, id__lt=last.id)
        return self.filter(Q(last_active_at__lte=last.last_active_at), Q(last_active_at__lt=last.last_active_at) | same)


class Thread(models.Model):
    """One conversation. Its row lock is what orders sends, sequence numbers and claims."""

    class TitleSource(models.TextChoices):
        WORDS = "words", "First words"
        MODEL = "model", "Written by a model"
        USER = "user", "Given by a person"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="threads", db_index=False)
    key = models.ForeignKey("accounts.ApiKey", null=True, on_delete=models.SET_NULL, related_name="threads")
    end_user_id = models.CharField(max_length=255, null=True, blank=True)
    title = models.CharField(max_length=200, blank=True)
    title_source = models.CharField(max_length=8, choices=TitleSource, default=TitleSource.WORDS)
    title_due = models.BooleanField(default=False, help_text="The first answer is there and a model has not named it yet.")
    model = models.CharField(max_length=100, blank=True, help_text="Slug of the model used last.")
    metadata = models.JSONField(null=True, blank=True)
    turn_count = models.IntegerField(default=0, help_text="Numbers handed to turns so far; orders the queue.")
    last_seq = models.IntegerField(default=0, help_text="Highest message sequence number, gapless from 1.")
    read_seq = models.IntegerField(default=0, help_text="Highest sequence number the person has had on screen.")
    # With the calls beside them, such as its title (see side_costs.py).
    cost_micros = models.BigIntegerField(default=0, help_text="Of all its turns; kept here so that opening a long thread sums nothing.")
    active_turn = models.ForeignKey("Turn", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    pinned_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    last_active_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now, help_text="Any change a watcher could see.")

    objects = ThreadQuerySet.as_manager()

    class Meta:
        permissions = [
            ("read_conversations", "Can read people's conversations (each time is recorded)"),
            ("repeat_tool_calls", "Can run tool calls that only read again, as their owner"),
        ]
        indexes = [
            models.Index("user", F("last_active_at").desc(), F("id").desc(), condition=Q(deleted_at=None), name="thread_newest_of_user"),
            models.Index("key", F("last_active_at").desc(), F("id").desc(), condition=Q(deleted_at=None), name="thread_newest_of_key"),
            models.Index(
                "user",
                "end_user_id",
                F("last_active_at").desc(),
                condition=Q(deleted_at=None, end_user_id__isnull=False),
                name="thread_of_end_user",
            ),
            models.Index("user", "changed_at", name="thread_changed"),
            models.Index("active_turn", condition=Q(active_turn__isnull=False), name="thread_of_active_turn"),
            models.Index("deleted_at", condition=Q(deleted_at__isnull=False), name="thread_to_purge"),
            models.Index("id", condition=Q(title_due=True), name="thread_title_due"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(last_seq__gte=0) & Q(read_seq__lte=F("last_seq")), name="thread_seq_sane"),
        ]

    def __str__(self) -> str:
        return self.title or str(self.id)

    @property
    def running(self) -> bool:
        return self.active_turn_id is not None

    @property
    def unread(self) -> bool:
        return self.read_seq < self.last_seq and not self.running


class TurnQuerySet(models.QuerySet["Turn"]):
    def for_user(self, user: User) -> TurnQuerySet:
        return self.filter(thread__user=user, thread__deleted_at=None)

    def for_key(self, key: ApiKey) -> TurnQuerySet:
        return self.filter(thread__in=Thread.objects.for_key(key))


class Turn(models.Model):
    """One question and the work of answering it."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        WAITING = "waiting", "Waiting for approval"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"
        INTERRUPTED = "interrupted", "Interrupted"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="turns", db_index=False)
    key = models.ForeignKey("accounts.ApiKey", null=True, on_delete=models.SET_NULL, related_name="+")
    number = models.IntegerField(help_text="Order of sending within the thread.")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    on_path = models.BooleanField(default=True, help_text="Part of the conversation as it is read now; siblings are not.")
    request_id = models.CharField(max_length=255)
    request_digest = models.BinaryField(max_length=32, help_text="SHA-256 of what was asked; a replay must match it.")
    model = models.CharField(max_length=100)
    options = models.JSONField(default=dict, help_text="max_tokens, system and provider parameters of this send.")
    price = models.JSONField(default=dict, help_text="USD per million tokens by kind, as decimal strings, when admitted.")
    status = models.CharField(max_length=11, choices=Status, default=Status.QUEUED)
    epoch = models.IntegerField(default=0, help_text="Raised by every claim; writes of an older epoch are refused.")
    attempts = models.IntegerField(default=0, help_text="Claims of it, those after a wait for a person included.")
    waits = models.IntegerField(default=0, db_default=0, help_text="How often it has left its process to wait for a person.")
    runner = models.CharField(max_length=80, blank=True, help_text="The process that holds the lease.")
    lease_until = models.DateTimeField(null=True, blank=True)
    ring = models.SmallIntegerField(null=True, blank=True, help_text="Journal partition.")
    first_seq = models.IntegerField(null=True, blank=True, help_text="Sequence number of the question, given when the turn starts.")
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    error_kind = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    retry_after = models.IntegerField(null=True, blank=True, help_text="Seconds the provider asked to wait, where it said so.")
    usage = models.JSONField(default=dict)
    cost_micros = models.BigIntegerField(default=0)
    iterations = models.SmallIntegerField(default=1, db_default=1, help_text="Calls of the model.")
    hit_max_iterations = models.BooleanField(default=False, db_default=False, help_text="The last one was made without tools.")
    outline = models.BinaryField(default=b"", db_default=b"", help_text="What of the journal outlives it (see outline.py).")
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now, help_text="Any change of state; watchers look for what is newer.")
    started_at = models.DateTimeField(null=True, blank=True)
    first_token_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="Deleted by a person, with all that follows it.")
    copied_from = models.UUIDField(null=True, blank=True, help_text="The turn that this one is a copy of, in the thread that was forked.")

    ahead = 0  # how many turns come before it in its thread, where the live feed says so

    objects = TurnQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index("created_at", condition=Q(status="queued"), name="turn_queue"),
            models.Index("deleted_at", condition=Q(deleted_at__isnull=False), name="turn_to_purge"),
            models.Index("thread", "number", condition=Q(status="queued"), name="turn_queue_of_thread"),
            models.Index("lease_until", condition=Q(status="running"), name="turn_lease"),
            models.Index("id", condition=Q(status="running", stop_requested_at__isnull=False), name="turn_to_stop"),
            models.Index("ring", "finished_at", condition=Q(ring__isnull=False), name="turn_ring"),
            models.Index("request_id", name="turn_request"),
            models.Index("thread", "changed_at", name="turn_changed"),
            models.Index("thread", F("number").desc(), condition=Q(on_path=True), name="turn_path"),
            models.Index(F("created_at").desc(), name="turn_newest"),
        ]
        constraints = [
            models.UniqueConstraint("thread", "request_id", name="turn_request_once"),
            models.UniqueConstraint("thread", "number", name="turn_number_once"),
            models.UniqueConstraint("thread", condition=Q(status__in=["running", "waiting"]), name="turn_one_running"),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "waiting", "done", "stopped", "failed", "interrupted"]),
                name="turn_status_known",
            ),
            models.CheckConstraint(
                condition=~Q(status="running") | Q(lease_until__isnull=False, ring__isnull=False), name="turn_running_leased"
            ),
            models.CheckConstraint(condition=Q(cost_micros__gte=0), name="turn_cost_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({self.status})"

    @property
    def over(self) -> bool:
        return self.status not in (self.Status.QUEUED, self.Status.RUNNING, self.Status.WAITING)

    @property
    def live(self) -> bool:
        """Its journal has what there is to see, not its messages."""
        return self.status in (self.Status.RUNNING, self.Status.WAITING)

    @property
    def settled(self) -> bool:
        """Nothing more comes of it unless a person says something."""
        return self.over or self.status == self.Status.WAITING


class MessageQuerySet(models.QuerySet["Message"]):
    def for_user(self, user: User) -> MessageQuerySet:
        return self.filter(thread__user=user, thread__deleted_at=None)

    def for_key(self, key: ApiKey) -> MessageQuerySet:
        return self.filter(thread__in=Thread.objects.for_key(key))

    def path(self, after: int | None, before: int | None, visible: bool = False) -> MessageQuerySet:
        """The rows of the active path between two sequence numbers, neither included. `visible`: without bare tool results."""
        rows = self.filter(on_path=True, seq__isnull=False)
        rows = rows.filter(seq__gt=after) if after is not None else rows
        rows = rows.filter(seq__lt=before) if before is not None else rows
        return rows.exclude(role="user", content__0__type="tool_result") if visible else rows

    def settled(self) -> MessageQuerySet:
        """Without an answer that is still being written."""
        return self.exclude(status="streaming")

    def page_before(self, seq: int | None, limit: int) -> MessageQuerySet:
        """The newest `limit` rows of the path below `seq` (or of all), newest first; one index range whatever the thread's length."""
        page = self.filter(on_path=True, seq__isnull=False) if seq is None else self.filter(on_path=True, seq__lt=seq)
        return page.order_by("-seq")[:limit]


class Message(models.Model):
    """One row of history: a list of content blocks in the Anthropic Messages shape."""

    class Role(models.TextChoices):
        USER = "user", "User"
        ASSISTANT = "assistant", "Assistant"

    class Status(models.TextChoices):
        STREAMING = "streaming", "Streaming"
        COMPLETE = "complete", "Complete"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"
        INTERRUPTED = "interrupted", "Interrupted"

    class Rating(models.IntegerChoices):
        UP = 1, "Thumbs up"
        DOWN = -1, "Thumbs down"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="messages", db_index=False)
    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, related_name="messages", db_index=False)
    seq = models.IntegerField(null=True, blank=True, help_text="Gapless from 1 per thread; empty while the turn is queued.")
    on_path = models.BooleanField(default=True, help_text="As its turn.")
    role = models.CharField(max_length=9, choices=Role)
    content = models.JSONField(default=list)
    status = models.CharField(max_length=11, choices=Status, default=Status.COMPLETE)
    model = models.CharField(max_length=100, blank=True)
    stop_reason = models.CharField(max_length=40, blank=True)
    usage = models.JSONField(null=True, blank=True)
    cost_micros = models.BigIntegerField(default=0)
    rating = models.SmallIntegerField(null=True, blank=True, choices=Rating, help_text="What the person thinks of this answer.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = MessageQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index("turn", "seq", name="message_of_turn"),
            models.Index("thread", F("seq").desc(), condition=Q(on_path=True, seq__isnull=False), name="message_path"),
        ]
        constraints = [
            models.UniqueConstraint("thread", "seq", name="message_seq_once"),
            models.CheckConstraint(condition=Q(seq=None) | Q(seq__gte=1), name="message_seq_from_one"),
            models.CheckConstraint(condition=Q(role__in=["user", "assistant"]), name="message_role_known"),
            models.CheckConstraint(
                condition=Q(status__in=["streaming", "complete", "stopped", "failed", "interrupted"]), name="message_status_known"
            ),
            models.CheckConstraint(condition=Q(rating=None) | Q(rating__in=[1, -1], role="assistant"), name="message_rating_known"),
        ]

    def __str__(self) -> str:
        return f"{self.thread_id} #{self.seq} {self.role}"


class Compaction(models.Model):
    """A summary that stands for everything up to `through_seq` in what the model is sent. People go on seeing everything."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="compactions")
    through_seq = models.IntegerField(help_text="The last message that the summary covers.")
    summary = models.TextField()
    model = models.CharField(max_length=100)
    usage = models.JSONField(default=dict)
    cost_micros = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index("thread", F("through_seq").desc(), condition=Q(undone_at=None), name="compaction_of_thread")]
        constraints = [models.CheckConstraint(condition=Q(through_seq__gte=1), name="compaction_covers_something")]

    def __str__(self) -> str:
        return f"{self.thread_id} up to #{self.through_seq}"


class StoredFileQuerySet(models.QuerySet["StoredFile"]):
    def for_user(self, user: User) -> StoredFileQuerySet:
        """Files of the person's threads that are not deleted."""
        return self.filter(user=user, threads__deleted_at=None, threads__isnull=False).distinct()

    def for_key(self, key: ApiKey) -> StoredFileQuerySet:
        """Files of threads that the key sees."""
        return self.filter(threads__in=Thread.objects.for_key(key)).distinct()


class StoredFile(models.Model):
    """An image or document that came with a message, kept once per account under the hash of its bytes."""

    class Place(models.TextChoices):
        DISK = "disk", "Disk of the machine"
        DATABASE = "database", "Database"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="files")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the bytes, hexadecimal; the name in the storage.")
    media_type = models.CharField(max_length=100)
    size = models.IntegerField(help_text="Bytes.")
    place = models.CharField(max_length=8, choices=Place, default=Place.DISK, db_default=Place.DISK, help_text="Where its bytes are.")
    threads = models.ManyToManyField(Thread, related_name="files")
    created_at = models.DateTimeField(default=timezone.now)

    objects = StoredFileQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "digest"], name="file_once_per_user"),
            models.CheckConstraint(condition=Q(size__gt=0), name="file_not_empty"),
            models.CheckConstraint(condition=Q(place__in=["disk", "database"]), name="file_place_known"),
        ]

    def __str__(self) -> str:
        return f"{self.media_type} {self.digest[:12]}"


class FileBytes(models.Model):
    """The bytes of a file that is kept in the database; apart, so that no list of files reads them."""

    file = models.OneToOneField(StoredFile, primary_key=True, on_delete=models.CASCADE, related_name="bytes")
    content = models.BinaryField()

    def __str__(self) -> str:
        return str(self.file_id)
