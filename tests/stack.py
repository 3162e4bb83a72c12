"""Real processes for tests: web, replies, worker and the scripted provider, against a database and a Redis of the caller's.

Only what was started here is ever ended. Each process writes to a log of its own; `log(name)` reads it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.forked import Forked, Parent
from tests.services import ROOT, WORKER

ARTIFACTS = ROOT / "artifacts"
START_SECONDS = 80.0  # with three stacks starting at once on a small machine
STOP_SECONDS = 12.0
Found = TypeVar("Found")
# What takes long to import. Not daphne, which makes its loop when it is imported.
IMPORTED = (
    "aiohttp.web",
    "anthropic",
    "autobahn.twisted.websocket",
    "bench.protocols",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.thread",
    "celery.worker.autoscale",
    "celery.worker.consumer",
    "channels.routing",
    "chatai.lib.layer",
    "chatai.handler",
    "chatai.urls",
    "kombu.transport.redis",
    "openai",
    "search.tasks",
    "servestatic",
    "threads.management.commands.runreplies",
    "threads.routing",
    "twisted.web.http",
    "uvloop",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def until(check: Callable[[], Found], seconds: float = 10.0, what: str = "") -> Found:
    """The first true answer of `check`. Raises AssertionError when there is none in time."""
    started = time.monotonic()
    while True:
        if found := check():
            return found
        waited = time.monotonic() - started
        if waited > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what or check}")
        # Each look costs those who are waited for some of the processor.
        time.sleep(min(0.01 + waited / 50, 0.1))


class Stack:
    """Processes by name: `web`, `worker`, `provider`, and `replies`, `replies-2`, … of which there may be several."""

    imported: Sequence[str] = IMPORTED

    def __init__(self, name: str, database_url: str, redis_url: str, **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.provider_port = free_port()
        self.provider_url = f"http://127.0.0.1:{self.provider_port}"
        self.logs = ARTIFACTS / "logs" / (WORKER or "") / name
        shutil.rmtree(self.logs, ignore_errors=True)  # of the run before
        self.logs.mkdir(parents=True)
        self.processes: dict[str, subprocess.Popen[bytes] | Forked] = {}
        self.parents: dict[tuple[tuple[str, str], ...], Parent] = {}
        self.env = {
            **os.environ,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PORT": str(self.port),
            "HOST": "127.0.0.1",
            "ANTHROPIC_API_KEY": "sk-ant-scripted",
            "ANTHROPIC_BASE_URL": self.provider_url,
            "OPENAI_API_KEY": "sk-scripted",
            "OPENAI_BASE_URL": f"{self.provider_url}/v1",
            "DEMO_DELAY_MS": "3",
            "PYTHONUNBUFFERED": "1",
            **env,
        }

    def command(self, name: str) -> list[str]:
        """As arguments of Python."""
        celery = ["-m", "celery", "-A", "chatai", "--quiet", "worker", "--pool", "threads"]
        match name.partition("-")[0]:
            case "web":
                daphne = ("-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(self.port))
                return [*daphne, "chatai.asgi:application"]
            case "replies":
                return ["manage.py", "runreplies"]
            case "worker":
                return [*celery, "--concurrency", "2"]
            case "clock":  # a worker that also says when what is due
                return [*celery, "-B", "--concurrency", "2"]
            case "embed":
                return [*celery, "-Q", "embed", "--concurrency", "1"]
            case "provider":
                return ["-m", "bench.provider", "--port", str(self.provider_port)]
            case _:
                raise LookupError(name)

    def start(self, *names: str, **env: str) -> None:
        """Start what does not run yet. `env` is for these processes only."""
        for name in names:
            if not self.runs(name):
                self.processes[name] = self.fork(self.command(name), self.logs / f"{name}.log", **env)

    def fork(self, command: list[str], log: Path, **env: str) -> Forked:
        """A process with these arguments of Python, in the stack's environment, as a child of one that all with that `env` have."""
        own = tuple(sorted(env.items()))
        if own not in self.parents:
            self.parents[own] = Parent(self.env | env, self.logs / "parent.log", *self.imported)
        return self.parents[own].start(command, log)

    def wait_ready(self) -> None:
        """Until everything that was started answers."""
        if "provider" in self.processes:
            until(lambda: self._answers(f"{self.provider_url}/_stats"), START_SECONDS, "the provider answers")
        if "web" in self.processes:
            until(lambda: self._answers(f"{self.url}/healthz"), START_SECONDS, "web answers")
        for name in self.processes:
            if name.startswith("replies") and self.runs(name):
                until(lambda: b"replies ready" in self.log(name), START_SECONDS, f"{name} is ready")  # noqa: B023  used at once

    def runs(self, name: str) -> bool:
        return name in self.processes and self.processes[name].poll() is None

    def must_live(self) -> None:
        """Nothing ended that nobody ended: whoever asks it would wait for an answer until the time of the test is over."""
        for name, process in self.processes.items():
            status = process.poll()
            assert status is None, f"{name} ended by itself ({status}): {self.log(name)[-4000:].decode(errors='replace')}"

    def log(self, name: str) -> bytes:
        """What the process wrote, over all its lives."""
        return (self.logs / f"{name}.log").read_bytes()

    def tell(self, name: str, number: signal.Signals) -> None:
        self.processes[name].send_signal(number)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send the signal and wait for the end; the exit code."""
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(40)

    def restart(self, name: str, **env: str) -> None:
        if name in self.processes:
            self.kill(name)
        self.start(name, **env)

    def stop(self) -> None:
        """End everything, politely first."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        for parent in self.parents.values():
            parent.close()
        self.parents.clear()

    def provider_bodies(self, newest: int) -> list[dict[str, Any]]:
        """What the provider was sent last, oldest first."""
        return list(self.provider_stats(f"?bodies={newest}")["bodies"])

    def provider_stats(self, query: str = "") -> Mapping[str, Any]:
        with urllib.request.urlopen(f"{self.provider_url}/_stats{query}", timeout=5) as answer:
            stats: Mapping[str, Any] = json.load(answer)
        return stats

    def provider_used(self) -> list[dict[str, Any]]:
        """The provider's own books: `id` of the script, `input_tokens`, `output_tokens` of each answer it began."""
        with urllib.request.urlopen(f"{self.provider_url}/_used", timeout=5) as answer:
            used: list[dict[str, Any]] = json.load(answer)
        return used

    def _answers(self, url: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False
        except OSError:
            dead = [name for name, process in self.processes.items() if process.poll() not in (None, 0)]
            assert not dead, f"{dead} ended: {self.log(dead[0])[-2000:].decode(errors='replace')}"
            return False
