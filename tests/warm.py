"""A process that has imported all that the product's processes import, and becomes one of them whenever it is asked to.

To start Python and import everything takes two seconds of processor each time, and the suite starts more than a hundred
processes. What is forked here is otherwise the command as an operator gives it (tests/project/test_up.py starts them in full).
`python -m tests.warm MODULE …` imports these, reads a line of JSON for each start, answers with the number of the process, and with
its status when it has ended. It ends, with all that it started, when its stdin does: whoever asked for them is gone then.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import signal
import sys
import threading
from contextlib import suppress
from importlib import import_module

import django


def prepare(modules: list[str]) -> None:
    """Import what makes no loop, no thread and no connection: those are not forked."""
    django.setup()
    for name in modules:
        import_module(name)
    assert threading.active_count() == 1
    assert "twisted.internet.reactor" not in sys.modules, "its loop would be everybody's"
    gc.collect()
    gc.freeze()


def serve(answers: int) -> list[str]:
    """Fork whatever is asked for. Returns in each new process, with what it shall be; the first one never returns."""
    running: set[int] = set()
    awake, wake = os.pipe()
    for end in (awake, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    unread = b""
    while True:
        ready, _, _ = select.select([0, awake], [], [])
        if awake in ready:
            with suppress(BlockingIOError):
                os.read(awake, 4096)
            for pid, status in reap():
                running.discard(pid)
                end_group(pid)
                tell(answers, pid=pid, status=status)
        if 0 in ready:
            read = os.read(0, 65536)
            if not read:
                for pid in running:
                    end_group(pid)
                os._exit(0)
            *lines, unread = (unread + read).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                if (pid := os.fork()) == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for end in (awake, wake, answers):
                        os.close(end)
                    return begin(asked["log"], asked["command"])
                running.add(pid)
                tell(answers, pid=pid)


def begin(log: str, command: list[str]) -> list[str]:
    """In the new process: as subprocess.Popen would have started it."""
    os.setsid()
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    return command


def become(command: list[str]) -> None:
    """Run `-m module …` or `file …`, as `python` does with these arguments."""
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")


def reap() -> list[tuple[int, int]]:
    """(pid, exit code, negative for a signal) of those that ended since."""
    ended = []
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append((found[0], os.waitstatus_to_exitcode(found[1])))
    return ended


def end_group(leader: int) -> None:
    """Celery's clock is a child of its own, which outlives a worker that is killed."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def tell(answers: int, **said: int) -> None:
    os.write(answers, json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    ours = os.dup(1)
    os.dup2(2, 1)  # whatever is printed while it imports
    prepare(sys.argv[1:])
    become(serve(ours))
