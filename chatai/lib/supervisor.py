"""Keeps a handful of processes running: relays their output, restarts what dies, stops all of them in time."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

MARK = "CHATAI_UP"  # the environment variable by which a process is known as ours after its parent's death
HEALTHY_SECONDS = 20.0  # lived that long: the next death is a new story
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0


@dataclass(frozen=True)
class Program:
    """Something to keep running. `launch` returns a process that leads its own group, its stdout a pipe or nothing."""

    name: str
    launch: Callable[[], subprocess.Popen[bytes]]
    stop_signal: signal.Signals = signal.SIGTERM


class Supervisor:
    """Each program has a thread that launches it, relays its lines to `relay(name, line)` and launches it again."""

    def __init__(self, say: Callable[[str], None], relay: Callable[[str, bytes], None]) -> None:
        self._say = say
        self._relay = relay
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Program, subprocess.Popen[bytes]]] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._failures: defaultdict[str, int] = defaultdict(int)

    def add(self, program: Program) -> None:
        thread = threading.Thread(target=self._keep, args=(program,), name=program.name, daemon=True)
        self._threads[program.name] = thread
        thread.start()

    @property
    def idle(self) -> bool:
        return not self._threads

    def failures(self, name: str) -> int:
        """How often it has died in a row, each time soon after its start."""
        return self._failures[name]

    def no_restarts(self) -> None:
        """From here on a death is final."""
        self._stopping.set()

    def stop(self, names: Iterable[str], seconds: float) -> None:
        """Ask these to stop, kill what is left after `seconds`, return when all are gone. Call `no_restarts` before."""
        names = [name for name in names if name in self._threads]
        for name in names:
            self._signal(name, None)
        deadline = time.monotonic() + seconds
        for name in names:
            self._threads[name].join(max(0.0, deadline - time.monotonic()))
        for name in names:
            if self._threads[name].is_alive():
                self._say(f"{name} did not stop in time and is killed")
                self._signal(name, signal.SIGKILL)
        for name in names:
            self._threads[name].join(2)

    def _signal(self, name: str, number: signal.Signals | None) -> None:
        with self._lock:
            running = self._running.get(name)
            if running and running[1].poll() is None:
                running[1].send_signal(number or running[0].stop_signal)

    def _keep(self, program: Program) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            ending = self._run_once(program)
            if self._stopping.is_set():
                return
            if time.monotonic() - began > HEALTHY_SECONDS:
                pause, self._failures[program.name] = FIRST_PAUSE, 0
            self._failures[program.name] += 1
            self._say(f"{program.name} {ending}; starting it again in {pause:g} s")
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _run_once(self, program: Program) -> str:
        """Launch it and return, when it has ended, how."""
        try:
            with self._lock:  # so that `stop` either sees the process or prevents it
                if self._stopping.is_set():
                    return "was not started"
                process = program.launch()
                self._running[program.name] = program, process
        except OSError as error:
            return f"could not be started ({error.strerror})"
        relay = threading.Thread(target=self._relay_lines, args=(program.name, process), daemon=True)
        relay.start()
        process.wait()
        kill_group(process.pid)
        relay.join(1)
        return _ending(process.returncode)

    def _relay_lines(self, name: str, process: subprocess.Popen[bytes]) -> None:
        for line in process.stdout or ():
            self._relay(name, line)


def kill_group(leader: int) -> None:
    """End what a dead process left behind in its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def kill_marked(mark: str) -> int:
    """Kill every process whose environment carries our mark: left over from an earlier start that was killed itself."""
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=5)
    return len(left)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
