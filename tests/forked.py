"""Processes that are forked from one that has imported everything (tests/warm.py), handled like those of `subprocess`."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tests.services import ROOT

START_SECONDS = 80.0  # until everything is imported, with three stacks starting at once on a small machine


class Forked:
    """As much of `subprocess.Popen` as a stack needs."""

    def __init__(self, parent: Parent, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._parent = parent

    def poll(self) -> int | None:
        with self._parent.changed:
            if self.returncode is None:
                self.returncode = self._parent.ended.get(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._parent.changed:
            while (status := self.poll()) is None:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
                self._parent.changed.wait(left)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Parent:
    """The process they are forked from, with an environment and so with settings of its own."""

    def __init__(self, env: Mapping[str, str], log: Path, *modules: str) -> None:
        """`modules` are imported beforehand, besides those of the models."""
        self.log = log
        self.changed = threading.Condition()  # its lock can be taken again by who has it
        self.ended: dict[int, int] = {}
        self.begun: queue.Queue[int | None] = queue.Queue()
        command = [sys.executable, "-m", "tests.warm", *modules]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, start_new_session=True
            )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def start(self, command: list[str], log: Path) -> Forked:
        """What `python` would do with these arguments, in a session of its own."""
        assert self.process.stdin
        log.touch()
        self.process.stdin.write(json.dumps({"command": command, "log": str(log)}).encode() + b"\n")
        self.process.stdin.flush()
        pid = self.begun.get(timeout=START_SECONDS)
        assert pid, f"nothing is forked any more: {self.log.read_text(errors='replace')[-2000:]}"
        return Forked(self, pid)

    def close(self) -> None:
        """Ends what still runs, too."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            said = json.loads(line)
            with self.changed:
                if "status" in said:
                    self.ended[said["pid"]] = said["status"]
                else:
                    self.ended.pop(said["pid"], None)  # a number is used again, some day
                    self.begun.put(said["pid"])
                self.changed.notify_all()
        self.begun.put(None)
