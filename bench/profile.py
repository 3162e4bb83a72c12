"""Where the time goes: py-spy on the product's processes while they are under load."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType

from bench.report import REPORTS
from bench.stack import Stack

PROFILED = ("web", "replies")
RATE = 200  # samples a second
TOP = 25


class Profiler:
    """While it is entered, samples; afterwards, prints the functions with the most time of their own."""

    def __init__(self, stack: Stack, wanted: bool) -> None:
        self.stack = stack
        self.wanted = wanted
        self.spies: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> None:
        if not self.wanted:
            return
        program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
        if program is None:
            raise SystemExit("--profile needs py-spy: .venv/bin/python -m pip install py-spy")
        REPORTS.mkdir(exist_ok=True)
        for name in PROFILED:
            command = [program, "record", "--pid", str(self.stack.processes[name].pid), "--rate", str(RATE), "--nonblocking"]
            command += ["--format", "raw", "--output", str(_stacks(name)), "--gil"]
            self.spies[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name, spy in self.spies.items():
            spy.send_signal(signal.SIGINT)
            spy.wait(30)
            print(f"\n{name}: share of samples, function's own time and with what it calls ({_stacks(name)})")
            print(_top(_stacks(name)))


def _stacks(name: str) -> Path:
    return REPORTS / f"{name}.stacks.txt"


def _top(path: Path) -> str:
    """The heaviest functions of a file of `frame;frame;frame count` lines."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame.rsplit(":", 1)[0] for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        whole.update(dict.fromkeys(frames, int(count)))
    total = own.total() or 1
    return "\n".join(f"{count / total:6.1%} {whole[frame] / total:6.1%}  {frame}" for frame, count in own.most_common(TOP))
