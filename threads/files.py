"""Images and documents that came with messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from chatai.lib.ids import uuid7

if TYPE_CHECKING:
    from accounts.models import ApiKey


class StoredFileQuerySet(models.QuerySet["StoredFile"]):
    def for_key(self, key: ApiKey) -> StoredFileQuerySet:
        """Files of threads that the key sees."""
        return self.filter(threads__in=apps.get_model("threads", "Thread").objects.for_key(key)).distinct()


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
    threads = models.ManyToManyField("threads.Thread", related_name="files")
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
