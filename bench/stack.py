"""Everything that is measured, started from nothing in a temporary directory, and what its processes use."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from chatai.lib import embedded

ROOT = Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")
MODEL = "claude-haiku-5-5"  # any model of the provider that is scripted here
START_SECONDS = 60.0
FOREIGN = ("OPENAI_", "ANTHROPIC_", "OLLAMA_", "DATABASE_URL", "REDIS_URL", "DATA_DIR", "ALLOWED_HOSTS", "EMAIL_URL", "DEBUG", "DJANGO_")


class Stack:
    """PostgreSQL, Redis, provider, web, replies and, if wanted, the worker."""

    def __init__(self, home: Path, worker: bool) -> None:
        self.home = home
        self.worker = worker
        self.processes: dict[str, subprocess.Popen[Any]] = {}
        self.servers: dict[str, embedded.Server] = {}
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.port, self.provider_port = free_port(), free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.provider = f"http://127.0.0.1:{self.provider_port}"

    def __enter__(self) -> Stack:
        try:
            self._start_servers()
            self._configure()
            self.run("migrate", "--no-input", "--verbosity", "0")
            self.run("collectstatic", "--no-input", "--verbosity", "0")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _start_servers(self) -> None:
        for server in (embedded.postgres(self.home), embedded.redis_server(self.home)):
            self.servers[server.name] = server
            self.processes[server.name] = embedded.start(server, self.home / f"{server.name}.log")

    def _configure(self) -> None:
        self.env |= {
            "DATA_DIR": str(self.home / "data"),
            "STATIC_ROOT": str(self.home / "static"),
            "DATABASE_URL": self.servers["postgres"].url,
            "REDIS_URL": self.servers["redis"].url,
            "SECRET_KEY": secrets.token_urlsafe(50),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "ANTHROPIC_API_KEY": "scripted",
            "ANTHROPIC_BASE_URL": self.provider,
            "DEFAULT_MODEL": MODEL,
            "DJANGO_SETTINGS_MODULE": "chatai.settings",
            "LOG_LEVEL": "WARNING",
            "REPLIES_MAX_TURNS": "1200",  # the default is 1,000, and what is asked beside a crowd of a thousand would wait for one of it
        }
        (self.home / "data").mkdir(exist_ok=True)

    def run(self, *command: str) -> None:
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=self.env, check=True)

    def start(self, name: str, command: list[str], **pipes: Any) -> subprocess.Popen[Any]:
        with (self.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.env, **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **pipes}
            )
        self.processes[name] = process
        return process

    def start_apps(self, commands: dict[str, list[str]]) -> None:
        """`commands` as `manage.py up` has them. Returns when all of them are ready."""
        self.start("provider", [sys.executable, "-m", "bench.provider", "--port", str(self.provider_port)])
        for name in ("web", "replies", "worker")[: 3 if self.worker else 2]:
            self.start(name, commands[name])
        wait_for(f"{self.provider}/_stats", "provider", self.processes["provider"])
        wait_for(f"{self.base}/readyz", "web and replies", self.processes["web"])

    def stop(self) -> None:
        for name in [name for name in self.processes if name not in self.servers]:
            self.processes[name].terminate()
        for name in [name for name in self.processes if name not in self.servers]:
            try:
                self.processes[name].wait(25)
            except subprocess.TimeoutExpired:
                self.processes[name].kill()
        for name, server in self.servers.items():
            if name in self.processes:
                embedded.stop(server, self.processes[name])

    # --- what they use ----------------------------------------------------------------------------------------------------

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time so far by process, with all children, also those that are gone."""
        return {name: _cpu(process.pid) for name, process in self.processes.items()}

    def memory(self) -> dict[str, float]:
        """Proportional set size by process in MB."""
        return {name: _pss(process.pid) for name, process in self.processes.items()}

    def provider_times(self) -> dict[str, dict[str, int]]:
        times: dict[str, dict[str, int]] = fetch(f"{self.provider}/_stats?times=1")["times"]
        return times


def _family(pid: int) -> list[int]:
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _cpu(pid: int) -> float:
    ticks = 0
    for one in _family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += sum(map(int, fields[11:15]))  # utime, stime, and the same of children that were waited for
    return ticks / TICK


def _pss(pid: int) -> float:
    total = 0
    for one in _family(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def fetch(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)


def wait_for(address: str, name: str, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            fetch(address)
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{name} did not start: see the logs in the temporary directory (--keep)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
