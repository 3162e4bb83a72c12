"""Starts PostgreSQL and Redis for the tests before the settings are read, unless DATABASE_URL and REDIS_URL name others.

Loaded as a plugin (`-p tests.services`, see pyproject.toml): a conftest would come too late. With `-n`, every worker process has
its own servers and the process that only hands out tests has none.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatai.lib import embedded

WORKER = os.environ.get("PYTEST_XDIST_WORKER")  # its name, in a process that was handed a share of the tests

scratch = Path(tempfile.mkdtemp(prefix="chatai-tests-"))
atexit.register(shutil.rmtree, scratch, ignore_errors=True)  # runs last


def _serve(variable: str, server: embedded.Server) -> None:
    process = embedded.start(server, scratch / f"{server.name}.log")
    atexit.register(embedded.stop, server, process)
    os.environ[variable] = server.url


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Before pytest-django reads the settings, which it does in this hook too."""
    if WORKER or not early_config.known_args_namespace.numprocesses:
        if not os.environ.get("DATABASE_URL"):
            _serve("DATABASE_URL", embedded.postgres(scratch, durable=False))
        if not os.environ.get("REDIS_URL"):
            _serve("REDIS_URL", embedded.redis_server(scratch))
    yield


# Nothing of the developer's own data directory is read or written.
os.environ["DATA_DIR"] = str(scratch / "data")
(scratch / "data").mkdir()
if not WORKER:  # which reads what the process that started it collected
    os.environ["STATIC_ROOT"] = str(scratch / "static")
