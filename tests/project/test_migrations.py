"""The models and their migrations say the same."""

from django.apps import apps
from django.core.management import call_command
from django.db import connection


def test_no_migration_is_missing(db: None) -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_the_database_has_every_index_and_constraint_that_the_models_declare(db: None) -> None:
    """Django drops indexes of a column that only resemble the one it is to drop, and its own check compares models with migrations."""
    missing = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            meta = model._meta
            if meta.managed and not meta.proxy:
                there = connection.introspection.get_constraints(cursor, meta.db_table)
                missing += [one.name for one in (*meta.indexes, *meta.constraints) if one.name not in there]
    assert missing == []
