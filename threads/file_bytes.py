"""The bytes of stored files: in the database, or on the disk of the machine (`FILES_STORAGE`).

Each file knows where its own are, so the setting may change without one being lost.
"""

from __future__ import annotations

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction

from threads.models import FileBytes, StoredFile

DATABASE, DISK = StoredFile.Place.DATABASE, StoredFile.Place.DISK


def path_of(file: StoredFile) -> str:
    """Its name on the disk."""
    return f"files/{file.user_id}/{file.digest}"


def keep(file: StoredFile, content: bytes) -> None:
    """Where the setting says. Inside a transaction, with the file's row locked."""
    if settings.FILES_STORAGE == DATABASE:
        FileBytes.objects.update_or_create(file=file, defaults={"content": content})
    elif not default_storage.exists(path_of(file)):
        default_storage.save(path_of(file), ContentFile(content))
    file.place = settings.FILES_STORAGE
    file.save(update_fields=["place"])


def are_there(file: StoredFile) -> bool:
    if file.place == DATABASE:
        return FileBytes.objects.filter(file=file).exists()
    return default_storage.exists(path_of(file))


def read(file: StoredFile) -> bytes | None:
    """None when they are gone, as from a disk that was emptied."""
    if file.place == DATABASE:
        kept = FileBytes.objects.filter(file=file).first()
        return bytes(kept.content) if kept else None
    try:
        with default_storage.open(path_of(file)) as stored:
            content: bytes = stored.read()
    except FileNotFoundError:
        return None
    return content


def erase(file: StoredFile) -> None:
    """The file with its bytes."""
    if file.place == DISK:
        default_storage.delete(path_of(file))
    file.delete()


def move(file: StoredFile) -> bool:
    """To where the setting says now; False when there is nothing to move."""
    with transaction.atomic():
        locked = StoredFile.objects.select_for_update().filter(pk=file.pk).exclude(place=settings.FILES_STORAGE).first()
        content = read(locked) if locked else None
        if locked is None or content is None:
            return False
        left = locked.place
        keep(locked, content)
        if left == DATABASE:
            FileBytes.objects.filter(file=locked).delete()
        else:
            transaction.on_commit(lambda: default_storage.delete(path_of(locked)))
    return True
