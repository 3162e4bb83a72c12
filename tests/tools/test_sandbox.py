"""Code that wants out, wants everything, or wants to go on for ever; and code that just works."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tools import sandbox
from tools.sandbox_values import MOST_CHARS, told
from tools.values import Outcome, ToolError

SECONDS = 0.5
# The bar is half a second, and holds where nothing else runs; a test must not fail because a machine was busy.
OVERRUN = float(os.environ.get("SANDBOX_OVERRUN", "5"))
GROWTH = 50 * 1024 * 1024  # bytes, of this process and the interpreter together; the bar
CANARY = "canary-4711-of-the-environment"
LOOPS = {
    "while": "while True: pass",
    "sum": "sum(range(10**12))",
    "comprehension": "len([None for i in range(10**12) if i < 0])",
    "generator": "any(i < 0 for i in range(10**15))",
    "sort key": "for _ in iter(int, 1): sorted(range(1000), key=lambda x: -x)",
    "catches everything": "while True:\n  try:\n    while True: pass\n  except BaseException: pass",
    "finally": "try:\n  while True: pass\nfinally:\n  while True: pass",
    "regex": "import re\nre.match(r'(a+)+(b+)+$', 'a' * 5000 + 'c')\nre.match(r'(a|aa)+$', 'a' * 5000 + 'b')\nwhile True: pass",
    "regex that goes back": "import re\nre.match(r'(.*)\\\\1(.*)\\\\2x', 'ab' * 20000)\nwhile True: pass",
    "power": "x = 7\nwhile True: x = pow(x, 3, 10**300 + 7)",
    "digits": "while True: str(3**8000)",
    "json": "import json\nwhile True: json.loads('[' * 100 + ']' * 100)",
    "hash": "import hashlib\nwhile True: hashlib.sha256(b'a' * 1000000).hexdigest()",
    "sleep": "import time\ntime.sleep(3600)",
    "many sleeps": "import time\nwhile True: time.sleep(0.01)",
    "sleep in tasks": "import asyncio\nasync def f():\n  await asyncio.sleep(3600)\nawait asyncio.gather(f(), f(), f())",
    "files for ever": "while True:\n  try: open('a').read()\n  except Exception: pass",
}
MEMORY = {
    "list": "x = [0] * 10**9",
    "string": "'a' * 10**10",
    "append": "x = []\nwhile True: x.append('a' * 1000)",
    "doubling": "x = 'a'\nwhile True: x += x",
    "dict": "x = {}\ni = 0\nwhile True:\n  i += 1\n  x[i] = [i]",
    "bytes": "bytes(10**10)",
    "int": "x = 2\nwhile True: x *= x",
    "power": "9 ** 9 ** 9",
    "shift": "1 << 10**11",
    "join": "','.join(['a' * 1000] * 10**7)",
    "format": "f'{1:>10000000000}'",
    "percent": "'%10000000000d' % 1",
    "replace": "('a' * 10**6).replace('a', 'b' * 10**6)",
    "range": "list(range(10**10))",
    "nested": "x = []\nwhile True: x = [x, x]",
    "catches MemoryError": "x = []\nwhile True:\n  try:\n    while True: x.append([0] * 1000)\n  except MemoryError: pass",
    "closures": "def f(x): return lambda: x\ny = None\nwhile True: y = f(y)",
    "result": "[[i] for i in range(10**6)]",
    "result as text": "'a' * (20 * 2**20)",
    "random": "import random\nrandom.randbytes(10**10)",
    "tasks": "import asyncio\nasync def f(): await asyncio.sleep(100)\nx = [asyncio.create_task(f()) for _ in range(10**7)]",
}
OUTPUT = {
    "one gigabyte at once": "print('a' * 10**9)",
    "one gigabyte in lines": "for i in range(10**6): print('a' * 1000)",
    "one gigabyte in letters": "while True: print('a', end='')",
    "one gigabyte to a file": "with open('a', 'w') as f:\n  for i in range(1000): f.write('a' * 10**6)",
    "many files": "for i in range(10**6): open(f'file{i}', 'w').close()",
    "many directories": "from pathlib import Path\nfor i in range(10**6): Path(f'/d{i}').mkdir()",
    "a large write": "open('a', 'w').write('a' * 10**7)",
    "appending": "while True:\n  with open('a', 'a') as f: f.write('a' * 100000)",
    "a long path": "open('a' * 10**6, 'w')",
    "a wide write": "open('a', 'w').write('a' * 2400000 + '\U0001f600')",
    "a wide append": "for x in ('a' * 2000000, '\U0001f600', 'b'):\n  with open('a', 'a') as f: f.write(x)",
    "a wide path": "open('a' * 2400000 + '\U0001f600')",
    "a wide error": "raise ValueError('a' * 3600000 + '\U0001f600')",
    "a wide value": "'a' * 2400000 + '\U0001f600'",
    "a wide title": "import charts\ncharts.line([1], [1], title='a' * 2400000 + '\U0001f600')",
    "as large as it fits": "open('a', 'w').write('a' * 3700000)",
    "many charts": "import charts\nfor i in range(10**6): charts.line([1], [1])",
    "a wide chart": "import charts\ncharts.line(list(range(10**5)), list(range(10**5)))",
    "a huge title": "import charts\ncharts.line([1], [1], title='a' * 10**7)\n1/0",
    "a long traceback": "raise ValueError('a' * 10**7)",
    "deep recursion": "def f(): return f()\nf()",
    "deep parentheses": "(" * 50_000 + ")" * 50_000,
    "deep minus": "-" * 90_000 + "1",
    "deep lists": "[" * 40_000,
    "deep json": "import json\njson.loads('[' * 10**6)",
    "a deep repr": "x = []\nfor i in range(10**6): x = [x]\nprint(x)",
    "a deep comparison": "a, b = [], []\nfor i in range(10**5): a, b = [a], [b]\na == b",
    "nul": "print('\\0')\n\0",
}
# Each leaves something if it gets out: a byte of a file, a connection, a process, a variable.
ESCAPES = {
    "open": "print(open('/etc/passwd').read())",
    "open up": "print(open('../../../../etc/passwd').read())",
    "open by number": "print(open(0).read())",
    "proc": "print(open('/proc/self/environ').read())",
    "pathlib": "from pathlib import Path\nprint(Path('/etc/hostname').read_text(), list(Path('/').iterdir()), Path.home())",
    "glob": "import glob\nprint(glob.glob('/*'))",
    "symlink": "import os\nos.symlink('/etc/passwd', 'a')\nprint(open('a').read())",
    "pathlib symlink": "from pathlib import Path\nPath('a').symlink_to('/etc/passwd')\nprint(Path('a').read_text())",
    "rename from outside": "from pathlib import Path\nPath('/etc/passwd').rename('/a')\nprint(Path('/a').read_text())",
    "write outside": "open('/tmp/escaped-from-the-sandbox', 'w').write('x')",
    "listdir": "import os\nprint(os.listdir('/'))",
    "environ": "import os\nprint(os.environ)",
    "getenv": "import os\nprint(os.getenv('SECRET_CANARY'), os.getenv('PATH'))",
    "system": "import os\nos.system('touch /tmp/escaped-from-the-sandbox')",
    "popen": "import os\nprint(os.popen('env').read())",
    "fork": "import os\nos.fork()",
    "exec": "import os\nos.execv('/bin/sh', ['sh', '-c', 'env'])",
    "kill": "import os\nos.kill(os.getppid(), 9)",
    "subprocess": "import subprocess\nprint(subprocess.run(['env'], capture_output=True))",
    "multiprocessing": "import multiprocessing\nmultiprocessing.Process(target=print).start()",
    "threading": "import threading\nthreading.Thread(target=print).start()",
    "socket": "import socket\nsocket.create_connection(('127.0.0.1', {port}))",
    "urllib": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/')",
    "http.client": "import http.client\nhttp.client.HTTPConnection('127.0.0.1', {port}).request('GET', '/')",
    "asyncio": "import asyncio\nawait asyncio.open_connection('127.0.0.1', {port})",
    "ctypes": "import ctypes\nctypes.CDLL(None).system(b'env')",
    "import by name": "print(__import__('os').environ)",
    "importlib": "import importlib\nprint(importlib.import_module('subprocess'))",
    "builtins": "import builtins\nprint(builtins.__import__('socket'))",
    "classes": "print(().__class__.__base__.__subclasses__())",
    "globals of a function": "print((lambda: 0).__globals__)",
    "frames": "import sys\nprint(sys._getframe().f_back.f_globals)",
    "modules": "import sys\nprint(sys.modules)",
    "format string": "print('{0.__class__.__init__.__globals__}'.format(print))",
    "code object": "print((lambda: 0).__code__.replace(co_code=b''))",
    "pickle": "import pickle\npickle.loads(b\"cos\\nsystem\\n(S'env'\\ntR.\")",
    "eval": "print(eval(\"__import__('os').environ\"))",
    "host function": "import charts\nprint(charts.line.__globals__, charts.line.func.__self__)",
    "host function's error": "import charts\ntry: charts.line(1, 2)\nexcept Exception as e: print(e.__traceback__.tb_frame.f_globals)",
    "host module": "import charts\nprint(charts.__dict__, charts.__loader__)",
    "inspect": "import inspect\nprint(inspect.stack())",
    "gc": "import gc\nprint(gc.get_objects())",
    "install": "import pip\npip.main(['install', 'x'])",
}


@dataclass
class Watch:
    """How long it took and what it took, seen from outside."""

    seconds: float = 0.0
    most: int = 0


def interpreters() -> list[psutil.Process]:
    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended while it was looked at
            if one.is_running() and one.status() != psutil.STATUS_ZOMBIE and one.name() == "monty":
                found.append(one)
    return found


def measured(code: str, watch: Watch) -> Outcome:
    me, over = psutil.Process(), threading.Event()
    before = me.memory_info().rss

    def look() -> None:
        while not over.wait(0.005):
            try:
                watch.most = max(watch.most, sum(one.memory_info().rss for one in [me, *interpreters()]) - before)
            except psutil.NoSuchProcess:
                continue

    async def run() -> Outcome:
        began = time.perf_counter()
        try:
            return await sandbox.run_python(code, SECONDS)
        finally:
            watch.seconds = time.perf_counter() - began

    looking = threading.Thread(target=look)
    looking.start()
    try:
        return asyncio.run(run())
    finally:
        over.set()
        looking.join()


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """What is loaded once is no growth of a run."""
    asyncio.run(sandbox.run_python("import charts\ncharts.line([1], [1])\nopen('a.txt', 'w').write('a')"))


@pytest.fixture
def trap(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, list[Any]]]:
    """A door of this machine that nothing may knock on, and a secret in the environment."""
    monkeypatch.setenv("SECRET_CANARY", CANARY)
    visits: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        yield server.getsockname()[1], visits
        try:
            while True:
                visits.append(server.accept()[0])
        except TimeoutError:
            pass


@pytest.mark.parametrize("code", [*LOOPS.values(), *MEMORY.values(), *OUTPUT.values()], ids=[*LOOPS, *MEMORY, *OUTPUT])
def test_whatever_code_takes_it_gets_its_time_and_its_memory_and_no_more(code: str) -> None:
    watch = Watch()
    outcome = measured(code, watch)
    assert watch.most <= GROWTH, f"{watch.most / 2**20:.0f} MiB"
    assert watch.seconds <= SECONDS + OVERRUN, f"{watch.seconds:.2f} s"
    assert len(str(outcome.output)) <= sandbox.MOST_PRINTED + MOST_CHARS + 10_000
    assert len(outcome.blocks) <= sandbox.MOST_CHARTS + 20
    deadline = time.monotonic() + 30
    while interpreters() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert interpreters() == [], "its process is gone"
    assert outcome.is_error or code not in LOOPS.values(), "code that never ends is an error the model can read"


@pytest.mark.parametrize("code", ESCAPES.values(), ids=ESCAPES)
def test_nothing_gets_out_of_the_sandbox_or_into_it(code: str, trap: tuple[int, list[Any]]) -> None:
    port, visits = trap
    outcome = measured(code.replace("{port}", str(port)), Watch())
    said = str(outcome.output)
    for secret in (CANARY, "root:x:0", str(Path.home()), os.environ["PATH"], "DJANGO_SETTINGS_MODULE"):
        assert secret not in said
    assert outcome.is_error or "object" not in said
    assert not Path("/tmp/escaped-from-the-sandbox").exists()
    assert visits == []


def run(code: str, seconds: float = 5.0) -> Outcome:
    return asyncio.run(sandbox.run_python(code, seconds))


def test_what_is_printed_and_the_last_value_come_back() -> None:
    outcome = run("print('hello')\nx = 6\nx * 7")
    assert outcome.output == {"printed": "hello\n", "value": "42"}
    assert not outcome.is_error
    assert run("x = 1").output == "It ran and printed nothing."


def test_an_exception_comes_back_with_its_traceback_and_what_was_printed_before() -> None:
    outcome = run("print('before')\ndef f(x):\n    return 1 / x\nf(0)")
    assert outcome.is_error
    assert outcome.error_kind == "crash"
    assert outcome.output["printed"] == "before\n"
    assert "ZeroDivisionError" in outcome.output["error"]
    assert "line 3" in outcome.output["error"]


def test_files_and_charts_come_back_as_blocks() -> None:
    outcome = run(
        "import charts, csv\n"
        "with open('table.csv', 'w') as f: f.write('a,b\\n1,2\\n')\n"
        "open('gone.txt', 'w').write('x')\nfrom pathlib import Path\nPath('/gone.txt').unlink()\n"
        "Path('/data').mkdir()\nPath('/data/raw.bin').write_bytes(b'\\x00\\x01')\n"
        "charts.bar(['a', 'b'], {'one': [1, 2], 'two': [3, 4]}, title='Two <series>')"
    )
    assert not outcome.is_error, outcome.output
    assert outcome.output["files"] == ["chart-1.svg", "table.csv", "raw.bin"]
    picture, table, raw = (one["source"] for one in outcome.blocks)
    assert [one["type"] for one in outcome.blocks] == ["image", "document", "document"]
    assert b"Two &lt;series&gt;" in base64.b64decode(picture["data"])
    assert base64.b64decode(table["data"]) == b"a,b\n1,2\n"
    assert (raw["media_type"], base64.b64decode(raw["data"])) == ("application/octet-stream", b"\x00\x01")


def test_text_in_files_is_what_was_written_whatever_its_letters() -> None:
    outcome = run(
        "from pathlib import Path\n"
        "n = Path('a.txt').write_text('größe \U0001f600\\n')\n"
        "with open('a.txt', 'a') as f: n += f.write('und mehr')\n"
        "(n, Path('a.txt').read_text(), Path('a.txt').stat().st_size)"
    )
    assert outcome.output["value"] == "(16, 'größe \U0001f600\\nund mehr', 21)"
    assert base64.b64decode(outcome.blocks[0]["source"]["data"]).decode() == "größe \U0001f600\nund mehr"


def test_ordinary_programs_have_the_memory_they_need() -> None:
    sieve = "s = [True] * 100_001\nfor i in range(2, 317):\n  if s[i]:\n    for j in range(i * i, 100_001, i): s[j] = False\nsum(s[2:])"
    table = "import csv\nwith open('t.csv', 'w') as f: f.write('\\n'.join(f'{i},{i * i}' for i in range(10_000)))\n"
    table += "with open('t.csv') as f: rows = list(csv.reader(f))\nsum(int(row[1]) for row in rows)"
    assert run(sieve).output["value"] == "9592"
    assert run(table).output["value"] == "333283335000"


def test_a_chart_that_makes_no_sense_is_an_exception_in_the_code() -> None:
    outcome = run("import charts\ntry:\n    charts.pie(['a'], [-1])\nexcept ValueError as e:\n    print(e)")
    assert "not negative" in outcome.output["printed"]


def test_runs_know_nothing_of_each_other() -> None:
    assert not run("x = 1\nopen('left.txt', 'w').write('x')").is_error
    assert "NameError" in run("x").output["error"]
    assert "FileNotFoundError" in run("open('left.txt').read()").output["error"]


async def test_more_runs_than_places_wait_for_each_other() -> None:
    outcomes = await asyncio.gather(*(sandbox.run_python(f"{number} * 2") for number in range(8)))
    assert [outcome.output["value"] for outcome in outcomes] == [str(number * 2) for number in range(8)]


async def test_a_run_that_is_cancelled_takes_its_process_with_it() -> None:
    task = asyncio.create_task(sandbox.run_python("while True: pass", 60))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        if not interpreters():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("its process goes on")


async def test_too_much_code_is_refused_before_anything_runs() -> None:
    with pytest.raises(ToolError, match="100,000 characters"):
        await sandbox.run_python("#" * 100_001)


def test_a_value_is_told_within_bounds_however_it_is_made() -> None:
    shared: list[Any] = []
    for _ in range(60):
        shared = [shared, shared]  # two to the sixtieth when written out
    assert len(told(shared)) <= MOST_CHARS + 10
    assert told({"a": (1,), "b": [None, 1.5, "x"], 3: {4}, "c": b"\x00"}) == "{'a': (1,), 'b': [None, 1.5, 'x'], 3: {4}, 'c': b'\\x00'}"
    assert told(10**5000) == "<a whole number of 16,610 bits>"
    assert told("x" * 10**6).endswith("… (cut)")
