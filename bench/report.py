"""One report: a table for people, JSON for comparing."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench.measures import Line
from bench.stack import ROOT

REPORTS = Path(__file__).parent / "reports"


def table(lines: list[Line]) -> str:
    """Measured figures beside their bars."""
    width = max(len(line.what) for line in lines)
    return "\n".join(f"{line.what:<{width}}  {_figure(line):>12}  {_verdict(line):<16} {line.spread}".rstrip() for line in lines)


def _figure(line: Line) -> str:
    digits = 0 if float(line.value).is_integer() or abs(line.value) >= 100 else 2 if abs(line.value) < 1 else 1
    return f"{line.value:,.{digits}f} {line.unit}".rstrip()


def _verdict(line: Line) -> str:
    if line.bar is None:
        return ""
    sign = "≥" if line.at_least else "≤"
    return f"{sign} {line.bar:g} {'holds' if line.holds else 'MISSED'}"


def circumstances() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "python": f"{platform.python_version()}, {os.path.realpath(sys.executable)}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start",
    }


def save(lines: list[Line], about: dict[str, str]) -> Path:
    REPORTS.mkdir(exist_ok=True)
    path = REPORTS / f"{about['at'].replace(':', '').replace('+0000', 'Z')}.json"
    path.write_text(json.dumps({**about, "lines": [asdict(line) for line in lines]}, indent=1))
    return path
