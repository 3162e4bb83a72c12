"""Statements of a hot door, kept prepared by the server: building and planning one costs several times its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db import OperationalError, connection
from psycopg import RawCursor
from psycopg.rows import tuple_row


class Statement:
    """A long statement with parameters by name, translated once: psycopg does it anew at every use beyond 4,096 characters."""

    def __init__(self, text: str) -> None:
        self.names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
        self.text = re.sub(r"%\((\w+)\)s", lambda found: f"${self.names.index(found[1]) + 1}", text).replace("%%", "%")

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """What `text` takes, in its order."""
        return [values[name] for name in self.names]

    def row(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The one row that it gives, on Django's connection, within the transaction that is open there or by itself."""
        (found,) = self.rows(values)  # statements like this select no table
        return found

    def rows(self, values: Mapping[str, Any], *, prepare: bool = True) -> list[tuple[Any, ...]]:
        """All rows that it gives; without `prepare`, by a plan of its own."""
        connection.close_if_health_check_failed()  # as Django does before every statement of its own
        connection.ensure_connection()
        with connection.wrap_database_errors, RawCursor(connection.connection, row_factory=tuple_row) as cursor:
            return cursor.execute(self.text, self.arguments(values), prepare=prepare).fetchall()


def row(statement: Statement, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
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


def _row(statement: Statement, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    connection.ensure_connection()
    with connection.wrap_database_errors, RawCursor(connection.connection, row_factory=tuple_row) as cursor:
        found = cursor.execute(statement.text, statement.arguments(values), prepare=True).fetchone()
    connection.health_check_done = True  # type: ignore[attr-defined]  # it has just answered: Django need not ask it again in this request
    return found
