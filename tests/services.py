"""Starts PostgreSQL and Redis for the tests before the settings are read, unless DATABASE_URL and REDIS_URL name others.

Loaded as a plugin (`-p tests.services`, see pyproject.toml): a conftest would come too late. With `-n`, every worker process has
its own servers, and the process that only hands out tests makes the database that all of them begin with a copy of.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from chatai.lib import embedded

WORKER = os.environ.get("PYTEST_XDIST_WORKER")  # its name, in a process that was handed a share of the tests

ROOT = Path(__file__).resolve().parent.parent
SEED = "test_chatai_seed"  # a database with all tables and nothing else, which others are copies of: to migrate one takes eight seconds
SEEDED = "CHATAI_TESTS_SEED"  # names the directory of a PostgreSQL that has it, and as whose `chatai` is migrated too

scratch = Path(tempfile.mkdtemp(prefix="chatai-tests-"))
atexit.register(shutil.rmtree, scratch, ignore_errors=True)  # runs last


def _serve(variable: str, server: embedded.Server) -> None:
    process = embedded.start(server, scratch / f"{server.name}.log")
    atexit.register(embedded.stop, server, process)
    os.environ[variable] = server.url


def migrate(url: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    # Nothing is asked of Redis.
    env = {"REDIS_URL": "redis://127.0.0.1:1", **os.environ, "DATABASE_URL": url}
    subprocess.run(command, cwd=ROOT, env=env, check=True, timeout=240)


def copy_seed(data_dir: Path) -> bool:
    """Begin with what was migrated for all; False where there is nothing to begin with."""
    if not (seed := os.environ.get(SEEDED)):
        return False
    subprocess.run(["cp", "-a", seed, str(data_dir / "postgres")], check=True)  # as its owner
    return True


def _make_seed() -> None:
    home = scratch / "seed"
    home.mkdir()
    server = embedded.postgres(home, durable=False)
    process = embedded.start(server, scratch / "seed.log")
    try:
        migrate(server.url)
        with psycopg.connect(server.url.replace("/chatai?", "/postgres?"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {SEED} TEMPLATE chatai")
    finally:
        embedded.stop(server, process)
    os.environ[SEEDED] = str(home / "postgres")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Before pytest-django reads the settings, which it does in this hook too."""
    own_database = not os.environ.get("DATABASE_URL")
    if WORKER or not early_config.known_args_namespace.numprocesses:
        if own_database:
            copy_seed(scratch)
            _serve("DATABASE_URL", embedded.postgres(scratch, durable=False))
        if not os.environ.get("REDIS_URL"):
            _serve("REDIS_URL", embedded.redis_server(scratch))
    elif own_database:
        _make_seed()
    yield


# The suite starts the product's commands a hundred times, and to compile them is a tenth of each start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Nothing of the developer's own data directory is read or written.
os.environ["DATA_DIR"] = str(scratch / "data")
(scratch / "data").mkdir()
if not WORKER:  # which reads what the process that started it collected
    os.environ["STATIC_ROOT"] = str(scratch / "static")
