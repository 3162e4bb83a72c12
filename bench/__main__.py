"""`make bench`: start everything, load it, print the figures beside the bars of the design.

python -m bench [--quick] [--only NAME …] [--profile] [--no-worker] [--keep] [--home DIR]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from bench import measures, report
from bench.lab import Lab
from bench.measures import Line
from bench.profile import Profiler
from bench.stack import Stack

NAMES = ("first", "pages", "cpu", "crowd", "admissions", "money", "search", "ready")
SENDERS = 16


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    home = options.home or Path(tempfile.mkdtemp(prefix="chatai-bench-"))
    about = report.circumstances()
    try:
        with Stack(home, worker=not options.no_worker) as stack:
            lines = measure(stack, options)
        if "ready" in options.only:
            lines += measures.ready(home)
    finally:
        if not (options.keep or options.home):
            shutil.rmtree(home, ignore_errors=True)
    print("\n".join(f"{name}: {value}" for name, value in about.items()), end="\n\n")
    print(report.table(lines))
    print(f"\n{report.save(lines, about)}")
    return any(line.holds is False for line in lines)


def measure(stack: Stack, options: argparse.Namespace) -> list[Line]:
    os.environ.update(stack.env)
    import django

    django.setup()
    from bench import money, people, search
    from chatai.management.commands.up import app_commands

    crowds = [(100, 2, 4, 100.0)] if options.quick else [(100, 3, 8, 100.0), (500, 10, 8, 500.0), (1000, 16, 8, 500.0)]
    everyone = people.make(max(streams for streams, *_ in crowds) + measures.PROBES)
    threads = {size: people.make_conversation(0, size) for size in (6, 6000)}
    busy = money.make_account(SENDERS)
    people.settle()
    lines = money.added(200 if options.quick else 1000) + money.crowded(8, 3 if options.quick else 10) if "money" in options.only else []
    stack.start_apps(app_commands())
    lab = Lab(stack, everyone + busy)
    lines += measures.memory(lab, "idle", 250)
    with Profiler(stack, options.profile):
        if "first" in options.only:
            lines += measures.first_token(lab, 60 if options.quick else 120)
        if "pages" in options.only:
            lines += measures.pages(lab, threads, 20 if options.quick else 60)
        if "cpu" in options.only:
            lines += measures.processor(lab, 1 if options.quick else 3, 4 if options.quick else 9)
        if "crowd" in options.only:
            for crowd in crowds:
                lines += measures.crowd(lab, *crowd)
            lines += measures.memory(lab, "after the crowd")
        if "admissions" in options.only:
            lines += measures.admissions(lab, SENDERS, 3 if options.quick else 5)
        if "money" in options.only:
            lines += measures.busy_account(lab, [len(everyone) + number for number in range(SENDERS)], 3 if options.quick else 10)
    if "search" in options.only:
        lines += search.measure(stack, search.size(options.quick), 100 if options.quick else 400)
    lines.append(Line("tokens missing, doubled or out of order", len(lab.problems), "streams", f"of {lab.streams:,}", 0))
    codes = ", ".join(f"{count} with {code}" for code, count in lab.closed.items())
    lines.append(Line("sockets closed by the server", lab.closed.total(), "", codes, 0))
    for problem in sorted(set(lab.problems))[:10]:
        print(f"{lab.problems.count(problem)} × {problem}", file=sys.stderr)
    return lines


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the small half, in under a minute")
    parser.add_argument("--only", nargs="+", choices=NAMES, help="only these measurements")
    parser.add_argument("--profile", action="store_true", help="py-spy on web and replies; needs `pip install py-spy`")
    parser.add_argument("--no-worker", action="store_true", help="without the Celery worker")
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory with its logs")
    parser.add_argument("--home", type=Path, help="there instead, and leave it: the next search goes on with the rows of this one")
    options = parser.parse_args()
    options.only = options.only or [name for name in NAMES if not (options.quick and name == "ready")]
    return options


if __name__ == "__main__":
    sys.exit(main())
