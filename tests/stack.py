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
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tests.services import WORKER

ROOT = Path(__file__).resolve().parent.parent
ARTIFACTS = ROOT / "artifacts"
START_SECONDS = 80.0  # with three stacks starting at once on a small machine
STOP_SECONDS = 12.0
Found = TypeVar("Found")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def until(check: Callable[[], Found], seconds: float = 10.0, what: str = "") -> Found:
    """The first true answer of `check`. Raises AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        if found := check():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or check}")
        time.sleep(0.01)


class Stack:
    """Processes by name: `web`, `worker`, `provider`, and `replies`, `replies-2`, … of which there may be several."""

    def __init__(self, name: str, database_url: str, redis_url: str, **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.provider_port = free_port()
        self.provider_url = f"http://127.0.0.1:{self.provider_port}"
        self.logs = ARTIFACTS / "logs" / (WORKER or "") / name
        shutil.rmtree(self.logs, ignore_errors=True)  # of the run before
        self.logs.mkdir(parents=True)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
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
        celery = [sys.executable, "-m", "celery", "-A", "chatai", "--quiet", "worker", "--pool", "threads"]
        match name.partition("-")[0]:
            case "web":
                daphne = ("-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(self.port))
                return [sys.executable, *daphne, "chatai.asgi:application"]
            case "replies":
                return [sys.executable, "manage.py", "runreplies"]
            case "worker":
                return [*celery, "--concurrency", "2"]
            case "clock":  # a worker that also says when what is due
                return [*celery, "-B", "--concurrency", "2"]
            case "embed":
                return [*celery, "-Q", "embed", "--concurrency", "1"]
            case "provider":
                return [sys.executable, "-m", "bench.provider", "--port", str(self.provider_port)]
            case _:
                raise LookupError(name)

    def migrate(self) -> None:
        subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=ROOT, env=self.env, check=True, timeout=120)

    def start(self, *names: str, **env: str) -> None:
        """Start what does not run yet. `env` is for these processes only."""
        for name in names:
            if name in self.processes and self.processes[name].poll() is None:
                continue
            with (self.logs / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    self.command(name),
                    cwd=ROOT,
                    env=self.env | env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

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
