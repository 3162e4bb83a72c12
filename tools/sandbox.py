"""Python written by a model, run where it can reach nothing of this machine: no files, network, environment or processes.

Monty is an interpreter of its own, in a process of its own that has no environment. Each run gets a fresh one, which is killed when
its time is over. The code sees files that exist in memory only, and `charts`, whose drawings come back as pictures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.conf import settings

from tools import charts
from tools.made_files import file_block
from tools.sandbox_files import Files
from tools.sandbox_values import told
from tools.values import Outcome, ToolError

if TYPE_CHECKING:
    from pydantic_monty import ResourceLimits

SECONDS = 5.0  # of one run, with everything it waits for
GRACE = 0.2  # seconds between the interpreter's own limit and the end of its process
QUEUE = 20.0  # seconds that a run waits for its place
MOST_CODE = 100_000  # characters
MOST_PRINTED = 48_000  # characters
MOST_CHARTS = 8
MOST_POINTS = 5_000  # of one chart
# Bytes of values. What passes through our process stands there several times for a moment (as it came, as text, as Python's own text,
# in which one wide character makes four bytes of each), and the interpreter itself takes 9 MiB: all in all up to 40 MiB.
MEMORY = 6 * 1024 * 1024

_places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def run_python(code: str, seconds: float = SECONDS) -> Outcome:
    """What the code printed, what its last expression was, its files and charts; or its traceback. Never more than `seconds`.

    Raises ToolError when there is no place for it, or too much code.
    """
    if len(code) > MOST_CODE:
        raise ToolError(f"The code has more than {MOST_CODE:,} characters.", "invalid")
    loop = asyncio.get_running_loop()
    places = _places.setdefault(loop, asyncio.Semaphore(settings.SANDBOX_PROCESSES))
    try:
        await asyncio.wait_for(places.acquire(), QUEUE)
    except TimeoutError:
        raise ToolError("All places for running code are taken. Try again in a moment.", "unavailable") from None
    try:
        return await _Run(seconds).outcome(code)
    finally:
        places.release()


class _Run:
    """One run, and what it leaves behind."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.files = Files()
        self.printed: list[str] = []
        self.room = MOST_PRINTED
        self.flooded = False
        self.drawings: list[dict[str, Any]] = []

    async def outcome(self, code: str) -> Outcome:
        import pydantic_monty as monty  # 10 MB that only a process which runs code needs

        failure, value = "", None
        try:
            value = await self._feed(code)
        except monty.MontyCrashedError:
            failure = "The interpreter crashed."
        except (monty.MontyRuntimeError, monty.MontySyntaxError) as error:
            failure = error.display()[-8000:]
        except TimeoutError:
            failure = f"TimeoutError: it ran longer than {self.seconds:g} seconds."
        except _Flooded:
            failure = f"It printed more than {MOST_PRINTED:,} characters."
        return self._told(value, failure)

    async def _feed(self, code: str) -> Any:
        import pydantic_monty as monty

        # Its start, sleeps and calls of the host are not on the interpreter's clock; they are on this one.
        deadline = asyncio.get_running_loop().time() + self.seconds + GRACE
        limits: ResourceLimits = {
            "max_feed_duration_secs": self.seconds,
            "max_memory": MEMORY,
            "max_recursion_depth": 300,
            "max_suspensions": 500,  # calls of files, charts and sleeps
            "max_total_sleep_secs": self.seconds,
            "gc_interval": 100_000,
        }
        pool = monty.AsyncMonty(min_processes=0, max_processes=1, max_checkouts_per_worker=1, feed_duration_limit_grace=GRACE)
        modules = {"charts": self._charts()}
        async with asyncio.timeout_at(deadline), pool, pool.checkout(limits=limits, external_modules=modules) as session:
            feed = asyncio.ensure_future(session.feed_run(code, print_callback=self._printer(), os=self.files))
            self._stop = feed.cancel
            try:
                return await feed
            except asyncio.CancelledError:
                if self.flooded:
                    raise _Flooded from None
                raise

    def _printer(self) -> Callable[[str, str], None]:
        loop = asyncio.get_running_loop()

        def take(_stream: str, text: str) -> None:  # in a thread of the interpreter's
            if len(text) > self.room and not self.flooded:
                self.flooded = True
                loop.call_soon_threadsafe(self._stop)
            self.printed.append(text[: self.room])
            self.room = max(0, self.room - len(text))

        return take

    def _told(self, value: Any, failure: str) -> Outcome:
        blocks = [*self.drawings, *self.files.blocks()]
        output: dict[str, Any] = {}
        if printed := "".join(self.printed):
            output["printed"] = printed
        if value is not None:
            output["value"] = told(value)
        if failure:
            output["error"] = failure
        if blocks:
            output["files"] = [block["title"] for block in blocks]
        kind = "timeout" if failure.startswith("TimeoutError") else "crash"
        return Outcome(output or "It ran and printed nothing.", bool(failure), tuple(blocks), error_kind=kind if failure else "")

    # --- charts -----------------------------------------------------------------------------------------------------------

    def _charts(self) -> Any:
        import pydantic_monty as monty

        kinds: tuple[charts.Kind, ...] = ("bar", "line", "area", "scatter", "pie")
        return monty.ExternalModule({kind: partial(self._draw, kind) for kind in kinds})

    def _draw(self, kind: charts.Kind, labels: Sequence[Any], values: Any, title: str = "", x_label: str = "", y_label: str = "") -> str:
        if len(self.drawings) >= MOST_CHARTS:
            raise ValueError(f"at most {MOST_CHARTS} charts")
        named = values if isinstance(values, Mapping) else {"": values}
        if not 1 <= len(named) * len(labels) <= MOST_POINTS or len(named) > len(charts.COLOURS):
            raise ValueError(f"a chart has 1 to {MOST_POINTS:,} points in at most {len(charts.COLOURS)} series")
        series = [charts.Series(str(name)[:60], [float(one) for one in some]) for name, some in named.items()]
        words = [str(text)[:120] for text in (title, x_label, y_label)]
        svg = charts.draw(charts.Chart(kind, [str(label)[:60] for label in labels], series, *words))
        name = f"chart-{len(self.drawings) + 1}.svg"
        self.drawings.append(file_block(name, svg.encode(), "image/svg+xml"))
        return name


class _Flooded(Exception):  # noqa: N818 - an end of the run, not a fault of ours
    """It printed more than is kept."""
