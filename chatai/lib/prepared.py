"""Small reads of a hot door, kept prepared by the server: building and planning such a query costs several times its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import OperationalError, connection
from psycopg import Cursor
from psycopg.rows import tuple_row


def row(statement: str, values: Sequence[Any]) -> tuple[Any, ...] | None:
    """The first row that `statement`, which only reads, gives on Django's connection; a connection that broke is replaced once.

    Raises django.db.OperationalError while PostgreSQL is away.
    """
    try:
        return _row(statement, values)
    except OperationalError:
        if connection.in_atomic_block or connection.is_usable():
            raise
        connection.close()
        return _row(statement, values)


def _row(statement: str, values: Sequence[Any]) -> tuple[Any, ...] | None:
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection, row_factory=tuple_row) as cursor:
        found = cursor.execute(statement, values, prepare=True).fetchone()
    connection.health_check_done = True  # type: ignore[attr-defined]  # it has just answered: Django need not ask it again in this request
    return found
