"""The database address for code that talks to PostgreSQL without the ORM (journal, tailer)."""

from django.db import connection
from psycopg.conninfo import make_conninfo

LIBPQ_OPTIONS = {"host", "sslmode", "sslrootcert", "options", "connect_timeout", "target_session_attrs"}


def conninfo(application: str) -> str:
    """A libpq connection string for the same database as Django's default connection (the test database in tests)."""
    settings = connection.settings_dict
    options = {name: value for name, value in settings.get("OPTIONS", {}).items() if name in LIBPQ_OPTIONS}
    named = {"user": settings["USER"], "password": settings["PASSWORD"], "host": settings["HOST"], "port": settings["PORT"]}
    given = options | {name: str(value) for name, value in named.items() if value}
    return make_conninfo(dbname=settings["NAME"], application_name=application, **given)
