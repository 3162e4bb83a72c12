"""The stack with its load generator, and what one measurement of it gives."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.stack import Stack

NANO = 1e9
MILLI = 1e6
ASIDE = ("generator", "provider")  # processes that are no part of the product


@dataclass(slots=True)
class Cost:
    """What a measurement used: seconds of processor time by process, and of the wall clock."""

    seconds: float = 0.0
    by_process: dict[str, float] = field(default_factory=dict)

    @property
    def server(self) -> float:
        return sum(cpu for name, cpu in self.by_process.items() if name not in ASIDE)


class Lab:
    def __init__(self, stack: Stack, people: list[dict[str, str]]) -> None:
        self.stack = stack
        self.problems: list[str] = []
        self.streams = 0  # answers checked to the token
        file = stack.home / "people.json"
        file.write_text(json.dumps(people))
        command = [sys.executable, "-m", "bench.load", stack.base, str(file)]
        self.generator = stack.start("generator", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Let the generator do something. Raises SystemExit when it is gone."""
        assert self.generator.stdin
        assert self.generator.stdout
        print(json.dumps({"do": what, **arguments}), file=self.generator.stdin, flush=True)
        answer: dict[str, Any] | None = json.loads(self.generator.stdout.readline() or "null")
        if answer is None:
            raise SystemExit((self.stack.home / "generator.log").read_text()[-2000:])
        self._check(answer.get("turns", []) + answer.get("crowd", []))
        return answer

    def _check(self, turns: list[dict[str, Any]]) -> None:
        self.streams += len(turns)
        self.problems += [turn["problem"] for turn in turns if turn["problem"]]

    @contextmanager
    def cost(self) -> Iterator[Cost]:
        cost, before, started = Cost(), self.stack.cpu(), time.monotonic()
        yield cost
        after = self.stack.cpu()
        cost.seconds = time.monotonic() - started
        cost.by_process = {name: after[name] - before[name] for name in after}


def added(turns: list[dict[str, Any]], times: dict[str, dict[str, int]]) -> list[float]:
    """Milliseconds from the send to the first token on the page, beyond what the provider took itself."""
    pairs = [(turn, times[turn["id"]]) for turn in turns if turn["first"] and "first_sent_ns" in times.get(turn["id"], {})]
    return [(turn["first"] - turn["posted"] - (own["first_sent_ns"] - own["received_ns"])) / MILLI for turn, own in pairs]


def stretched(turns: list[dict[str, Any]], times: dict[str, dict[str, int]]) -> float:
    """How much longer the median turn took on the page than at the provider, as a ratio."""
    pairs = [(turn, times[turn["id"]]) for turn in turns if turn["over"] and "last_sent_ns" in times.get(turn["id"], {})]
    ratios: list[float] = [(turn["over"] - turn["posted"]) / (own["last_sent_ns"] - own["received_ns"]) for turn, own in pairs]
    return median(ratios) if ratios else float("nan")


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of `values` do not exceed; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]
