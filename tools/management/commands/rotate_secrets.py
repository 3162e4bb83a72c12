"""Seals everything anew under the first of FIELD_ENCRYPTION_KEYS, so that the others can be dropped."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import models

from chatai.lib import crypto
from tools.connected import purpose


class Command(BaseCommand):
    help = "Seals stored secrets anew under the first of FIELD_ENCRYPTION_KEYS. Run it after putting a new key in front."

    def handle(self, *args: Any, **options: Any) -> None:
        lost = 0
        for model in apps.get_models():
            for column in getattr(model, "SEALED", {}):
                sealed, unreadable = rotate(model, column)
                lost += unreadable
                self.stdout.write(f"{model._meta.label}.{column}: {sealed} sealed anew, {unreadable} cannot be read")
        if lost:
            raise CommandError(f"{lost} secrets were sealed by a key that is not configured. Put it back, or have them entered again.")


def rotate(model: type[models.Model], column: str) -> tuple[int, int]:
    """How many rows were sealed anew, and how many no key opens. A row that is changed meanwhile is left as it is then."""
    sealed = unreadable = 0
    rows = model._default_manager.exclude(**{column: ""}).only(column)
    for row in rows.iterator(chunk_size=500):
        old = getattr(row, column)
        try:
            if crypto.is_current(old):
                continue
            new = crypto.seal(crypto.unseal(old, purpose(row, column)), purpose(row, column))
        except crypto.UnsealError:
            unreadable += 1
            continue
        sealed += model._default_manager.filter(pk=row.pk, **{column: old}).update(**{column: new})
    return sealed, unreadable
