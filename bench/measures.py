"""The measurements. Each gives lines of the report and leaves its raw figures in the JSON."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.lab import ASIDE, Lab, added, percentile, stretched
from bench.stack import ROOT, free_port

DELAY = 20.0  # ms between the provider's tokens, where nothing else is said
CROWD_DELAY = 100.0
TALKS = 6  # conversations in the measurement of a single stream
# Between an answer and the next question there are 0.1 seconds: what ends a turn is no part of the next one.
ONE = {"tokens": 8, "delay": DELAY, "pause": 0.1}
CLOSED_LOOP = 50  # people in the measurement of processor time
PROBES = 4


@dataclass(slots=True)
class Line:
    """One line of the report. `value` is compared with `bar`: at most, unless `at_least`."""

    what: str
    value: float
    unit: str
    spread: str = ""
    bar: float | None = None
    at_least: bool = False
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool | None:
        if self.bar is None:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def first_token(lab: Lab, turns: int) -> list[Line]:
    """One question after the other, in a few conversations that become as long as conversations are."""
    people = list(range(TALKS))
    lab.do("open", people=people)
    lab.do("turns", people=people, rounds=2, tokens=8, delay=DELAY)
    asked = [turn for person in people for turn in lab.do("turns", people=[person], rounds=turns // TALKS, **ONE)["turns"]]
    values = added(asked, lab.stack.provider_times())
    admitted = [(turn["admitted"] - turn["posted"]) / 1e6 for turn in asked]
    raw = {"added_ms": values, "admitted_ms": admitted}
    return [
        Line("first token added, 1 stream, p50", percentile(values, 0.5), "ms", spread(values), 8, raw=raw),
        Line("first token added, 1 stream, p99", percentile(values, 0.99), "ms", f"{len(values)} turns", 30),
        Line("  of it until the send is answered, p50", percentile(admitted, 0.5), "ms", spread(admitted)),
        Line("  whole turn / provider's own time, median", stretched(asked, lab.stack.provider_times()), "×"),
    ]


def crowd(lab: Lab, streams: int, ramp: float, hold: float, bar: float) -> list[Line]:
    """`streams` answers being written at once, and short questions in between."""
    people = list(range(streams + PROBES))
    with lab.cost() as entry:
        opened = lab.do("open", people=people)["opened"]
    with lab.cost() as cost:
        result = lab.do("crowd", streams=people[:streams], probes=people[streams:], ramp=ramp, hold=hold, delay=CROWD_DELAY)
    times = lab.stack.provider_times()
    probes, starters = added(result["turns"], times), added(result["crowd"], times)
    values = probes + starters
    failed = sum(bool(turn["problem"]) for turn in result["turns"] + result["crowd"])
    name = f"{streams:,} live streams"
    busy = {who: round(cpu / cost.seconds, 2) for who, cpu in cost.by_process.items() if cpu / cost.seconds >= 0.01}
    raw = {"probes_ms": probes, "crowd_ms": starters, "live": result["live"], "cores": busy, "memory_mb": result.get("memory")}
    return [
        Line(
            f"first token added, {name}, p99", percentile(values, 0.99), "ms", f"{spread(values)}, p50 {median(values):.0f}", bar, raw=raw
        ),
        Line(f"  failed, {name}", failed, "turns", f"of {len(values)}; live {result['live'][0]} to {result['live'][1]}", 0),
        Line("  CPU of opening a socket", entry.server / opened * 1000, "ms", f"{opened} opened"),
        Line("  cores used", sum(busy.values()), "", ", ".join(f"{who} {cores:.2f}" for who, cores in busy.items())),
    ]


def processor(lab: Lab, repeats: int, rounds: int) -> list[Line]:
    """CPU of 1,000 turns with 50 people in a closed loop; with 20 and 200 tokens too, for the cost of a turn and of a token."""
    people = list(range(CLOSED_LOOP))
    lab.do("open", people=people)
    lab.do("turns", people=people, rounds=2, tokens=60, delay=DELAY)
    runs = [_thousand(lab, people, rounds, 60) for _ in range(repeats)]
    short = _thousand(lab, people, rounds * 2, 20)
    long = _thousand(lab, people, max(2, rounds // 3), 200)
    totals = [run["server"] for run in runs]
    middle = sorted(runs, key=lambda run: run["server"])[len(runs) // 2]
    per_token = (long["server"] - short["server"]) / 180
    return [
        Line("CPU of 1,000 turns of 60 tokens, 50 at once", median(totals), "s", spread(totals), 20, raw={"runs": runs}),
        *(Line(f"  {name}", cpu, "s") for name, cpu in middle["by_process"].items() if name not in ASIDE),
        *(Line(f"  not counted: {name}", cpu, "s") for name, cpu in middle["by_process"].items() if name in ASIDE),
        Line("  ratio to the provider's own CPU", middle["server"] / middle["by_process"]["provider"], "×"),
        Line("  turns a second meanwhile", middle["rate"], "", f"{middle['frames']:.1f} frames, {middle['kilobytes']:.1f} kB a turn"),
        Line("CPU of a turn of no tokens (fit)", short["server"] - 20 * per_token, "ms", f"20 tokens {short['server']:.1f} ms", raw=short),
        Line("CPU of a token (fit)", per_token * 1000, "µs", f"200 tokens {long['server']:.1f} ms", raw=long),
    ]


def _thousand(lab: Lab, people: list[int], rounds: int, tokens: int) -> dict[str, Any]:
    """Seconds per 1,000 turns, which are also milliseconds per turn."""
    with lab.cost() as cost:
        result = lab.do("turns", people=people, rounds=rounds, tokens=tokens, delay=DELAY)
    turns = len(result["turns"])
    scale = 1000 / turns
    return {
        "tokens": tokens,
        "turns": turns,
        "server": cost.server * scale,
        "by_process": {name: cpu * scale for name, cpu in cost.by_process.items()},
        "rate": turns / result["seconds"],
        "frames": result["frames"] / turns,
        "kilobytes": result["bytes"] / turns / 1000,
    }


def pages(lab: Lab, threads: dict[int, str], rounds: int) -> list[Line]:
    """Opening a conversation of 6 and of 6,000 messages, and a page of 30 older ones."""
    small, large = f"/c/{threads[6]}", f"/c/{threads[6000]}"
    older = [f"{large}/older?before={before}" for before in (5970, 3000, 60)]
    lab.do("pages_of", person=0, paths=[small, large, *older], rounds=5)
    result = lab.do("pages_of", person=0, paths=[small, large, *older], rounds=rounds)
    times = {path: [took / 1e6 for took in took_all] for path, took_all in result["times"].items()}
    paged = [took for path in older for took in times[path]]
    ratio = median(times[large]) / median(times[small])
    return [
        Line("page of 30 messages out of 6,000, p95", percentile(paged, 0.95), "ms", spread(paged), 50, raw={"ms": times}),
        Line("thread of 6,000 opened, p95", percentile(times[large], 0.95), "ms", spread(times[large]), 50),
        Line("  thread of 6 opened, p95", percentile(times[small], 0.95), "ms", spread(times[small])),
        Line("  6,000 / 6, of the medians (30 messages drawn / 6)", ratio, "×"),
        Line("  pages that failed", len(result["problems"]), "", ", ".join(sorted(set(result["problems"]))), 0),
    ]


def admissions(lab: Lab, people: int, seconds: float) -> list[Line]:
    lab.do("open", people=[])
    result = lab.do("admissions", people=list(range(people)), seconds=seconds)
    return [Line(f"admissions, {people} senders", result["sent"] / seconds, "/s", f"{result['refused']} refused", raw=result)]


def busy_account(lab: Lab, people: list[int], seconds: float) -> list[Line]:
    """The same by one account in as many conversations: each send waits for the budget that all of them share."""
    result = lab.do("admissions", people=people, seconds=seconds)
    told = f"{len(people)} senders, {result['refused']} refused"
    return [Line("admissions of one account, over HTTP", result["sent"] / seconds, "/s", told, 200, at_least=True, raw=result)]


def memory(lab: Lab, when: str, bar: float | None = None) -> list[Line]:
    sizes = lab.stack.memory()
    both = sizes["web"] + sizes["replies"]
    return [Line(f"memory {when}: web + replies (PSS)", both, "MB", ", ".join(f"{n} {s:.0f}" for n, s in sizes.items()), bar, raw=sizes)]


def ready(home: Path) -> list[Line]:
    """From nothing to the ready line, and once more."""
    lines = []
    for name, bar in (("first", None), ("second", 15.0)):
        lines.append(Line(f"`manage.py up` ready, {name} start", _time_to_ready(home), "s", bar=bar))
    return lines


def _time_to_ready(home: Path) -> float:
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env |= {"DATA_DIR": str(home / "up"), "STATIC_ROOT": str(home / "up-static"), "PORT": str(free_port())}
    started = time.monotonic()
    command = [sys.executable, "manage.py", "up"]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        seconds = float("nan")
        for line in process.stdout:
            if "is ready on" in line:
                seconds = time.monotonic() - started
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    return seconds


def spread(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}" if values else "nothing measured"
