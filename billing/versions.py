"""Prices as rows: whatever was admitted can name the price it was admitted at."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from uuid import UUID

import msgspec
from django.db import connection, transaction

RECORD = """
INSERT INTO billing_priceversion (id, model, price, created_at) VALUES (%s, %s, %s, now()) ON CONFLICT (id) DO NOTHING
"""

_recorded: set[UUID] = set()


def version_id(model: str, price: Mapping[str, str]) -> UUID:
    """The same for the same model and price, everywhere."""
    text = msgspec.json.encode([model, dict(price)], order="deterministic")
    return UUID(bytes=hashlib.sha256(text).digest()[:16])


def recorded(model: str, price: Mapping[str, str]) -> UUID:
    """The version's id, its row written; a statement only for the first use in this process."""
    version = version_id(model, price)
    if version not in _recorded:
        with connection.cursor() as cursor:
            cursor.execute(RECORD, [version, model, msgspec.json.encode(dict(price), order="deterministic").decode()])
        transaction.on_commit(lambda: _recorded.add(version))
    return version


def forget(**_: object) -> None:
    """Look again: the tables may have been emptied."""
    _recorded.clear()
