"""How a test that commits leaves the database empty behind it: by deleting the rows there are.

Django truncates every table and has `migrate`'s signal make content types, permissions and the catalogue anew, which takes half a
second and was a third of the time of all tests. Here those rows stay, and everything else that is there is deleted. Where a test
touched the rows that stay, Django's way is taken.
"""

from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase

from billing import versions
from threads.providers import catalog

# Tables that are not empty in an empty database, with what is in them; None until the first test that commits has ended.
standing: dict[str, str] | None = None


def instead_of_django() -> None:
    """Called once; pytest-django makes its cases from this class."""
    TransactionTestCase._fixture_teardown = _empty  # type: ignore[attr-defined]


def _empty(_case: TransactionTestCase) -> None:
    global standing
    filled = _filled()
    if standing is None or any(_digest(table) != digest for table, digest in standing.items()):
        call_command("flush", verbosity=0, interactive=False, reset_sequences=False)
        standing = {table: _digest(table) for table in _filled()}
        return
    with connection.cursor() as cursor:
        # Neither foreign keys nor the triggers that make the ledger append-only stand in the way.
        cursor.execute("SET session_replication_role = replica")
        for table in filled:
            if table not in standing:
                cursor.execute(f'DELETE FROM "{table}"')
        cursor.execute("RESET session_replication_role")
    forget()


def forget() -> None:
    """What this process remembers of the rows of one database, when it goes on in another one or these rows are gone."""
    ContentType.objects.clear_cache()
    versions.forget()
    catalog.forget()


def _filled() -> list[str]:
    """The tables that have rows."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return [table for (table,) in _rows(" UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT FROM \"{table}\")" for table in tables))]


def _digest(table: str) -> str:
    return str(_rows(f"SELECT coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '') FROM \"{table}\" t")[0][0])


def _rows(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
