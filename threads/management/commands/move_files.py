"""`manage.py move_files`: bring the bytes of all stored files to where FILES_STORAGE says."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from threads import file_bytes
from threads.models import StoredFile


class Command(BaseCommand):
    help = "Bring the bytes of all stored files to where FILES_STORAGE says. May run while people chat, and again."

    def handle(self, *_args: Any, **_options: Any) -> None:
        elsewhere = StoredFile.objects.exclude(place=settings.FILES_STORAGE)
        moved = sum(file_bytes.move(file) for file in elsewhere.iterator(chunk_size=100))
        self.stdout.write(f"{moved} moved, {elsewhere.count()} left whose bytes are not there")
