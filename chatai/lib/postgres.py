"""What code needs that talks to PostgreSQL without the ORM (journal, tailer)."""

from collections.abc import Iterable

from django.db import connection
from psycopg.conninfo import make_conninfo

# Every statement of theirs is prepared and finds few rows by an index. Planned while a table was small, it would go on reading the
# whole of it when it has grown.
PLANS = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off"
LIBPQ_OPTIONS = {"host", "sslmode", "sslrootcert", "options", "connect_timeout", "target_session_attrs"}


def conninfo(application: str) -> str:
    """A libpq connection string for the same database as Django's default connection (the test database in tests)."""
    settings = connection.settings_dict
    options = {name: value for name, value in settings.get("OPTIONS", {}).items() if name in LIBPQ_OPTIONS}
    named = {"user": settings["USER"], "password": settings["PASSWORD"], "host": settings["HOST"], "port": settings["PORT"]}
    options["options"] = f"{options.get('options', '')} {PLANS}".strip()
    given = options | {name: str(value) for name, value in named.items() if value}
    return make_conninfo(dbname=settings["NAME"], application_name=application, **given)


def array(values: Iterable[object]) -> str:
    """Ids or numbers (None: NULL) as PostgreSQL reads an array. psycopg's own way takes ten times as long, on every tick."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def text_array(values: Iterable[str]) -> str:
    """Texts as PostgreSQL reads an array of them."""
    return "{" + ",".join(['"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values]) + "}"
