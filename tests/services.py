"""Starts PostgreSQL and Redis for the tests before the settings are read, unless DATABASE_URL and REDIS_URL name others.

Loaded as a plugin (`-p tests.services`, see pyproject.toml): a conftest would come too late.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from chatai.lib import embedded

scratch = Path(tempfile.mkdtemp(prefix="chatai-tests-"))
atexit.register(shutil.rmtree, scratch, ignore_errors=True)  # runs last


def _serve(variable: str, server: embedded.Server) -> None:
    process = embedded.start(server, scratch / f"{server.name}.log")
    atexit.register(embedded.stop, server, process)
    os.environ[variable] = server.url


# Nothing of the developer's own data directory is read or written.
os.environ["DATA_DIR"] = str(scratch / "data")
os.environ["STATIC_ROOT"] = str(scratch / "static")
(scratch / "data").mkdir()
if not os.environ.get("DATABASE_URL"):
    _serve("DATABASE_URL", embedded.postgres(scratch, durable=False))
if not os.environ.get("REDIS_URL"):
    _serve("REDIS_URL", embedded.redis_server(scratch))
