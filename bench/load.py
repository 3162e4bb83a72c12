"""The load generator, a process of its own: takes one JSON command a line on stdin, answers with one JSON line on stdout.

Commands name a method of `Generator`; people are given by their index in the file named on the command line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import uvloop

from bench.page import Page, Seen

PAGES_AT_ONCE = 40  # sockets being opened
SETTLE, SETTLE_EACH = 0.3, 0.02  # seconds after opening sockets; no frame says that a page has missed nothing


class Generator:
    def __init__(self, http: aiohttp.ClientSession, base: str, people: list[dict[str, str]]) -> None:
        self.http = http
        self.base = base
        self.people = people
        self.pages: dict[int, Page] = {}

    async def open(self, people: list[int]) -> dict[str, Any]:
        """Make sure that exactly these people have a tab, and that the server is done with letting them in."""
        for index in [index for index in self.pages if index not in people]:
            await self.pages.pop(index).close()
        gate = asyncio.Semaphore(PAGES_AT_ONCE)

        async def one(index: int) -> None:
            async with gate:
                page = Page(self.http, self.base, self.people[index])
                await page.open()
                self.pages[index] = page

        new = [index for index in people if index not in self.pages]
        await asyncio.gather(*map(one, new))
        await asyncio.sleep(SETTLE + SETTLE_EACH * len(new))
        return {"opened": len(new)}

    async def turns(self, people: list[int], rounds: int, tokens: int, delay: float, pause: float = 0.0) -> dict[str, Any]:
        """Each of `people` asks `rounds` times, the next question when the answer is complete and `pause` seconds are over."""

        async def ask(index: int) -> Seen:
            await asyncio.sleep(pause)
            return await self.pages[index].ask(tokens, delay)

        async def one(place: int, index: int) -> list[Seen]:
            await asyncio.sleep(delay * tokens / 1000 * place / len(people))  # not all in the same step
            return [await ask(index) for _ in range(rounds)]

        return await self._measured(one(place, index) for place, index in enumerate(people))

    async def crowd(self, streams: list[int], probes: list[int], ramp: float, hold: float, delay: float) -> dict[str, Any]:
        """All of `streams` being answered at once for `hold` seconds after `ramp`; meanwhile `probes` ask short questions.

        The probes' answers come first in the result; `live` is how many streams were live when the hold began and ended.
        """
        tokens = int((ramp + hold) * 1000 / delay) + 20
        writing = [
            asyncio.create_task(self._later(index, ramp * place / len(streams), tokens, delay)) for place, index in enumerate(streams)
        ]
        await asyncio.sleep(ramp)
        until = time.monotonic() + hold

        async def probe(place: int, index: int) -> list[Seen]:
            await asyncio.sleep(0.5 * place / len(probes))
            asked = []
            while time.monotonic() < until:
                asked.append(await self.pages[index].ask(10, delay))
            return asked

        live = [sum(self._is_live(index) for index in streams)]
        measured = await self._measured(probe(place, index) for place, index in enumerate(probes))
        live.append(sum(self._is_live(index) for index in streams))
        crowd = await asyncio.gather(*writing)
        return {**measured, "live": live, "crowd": [seen.summary() for seen in crowd]}

    async def _later(self, index: int, wait: float, tokens: int, delay: float) -> Seen:
        await asyncio.sleep(wait)
        return await self.pages[index].ask(tokens, delay)

    def _is_live(self, index: int) -> bool:
        return any(seen.first and not seen.over for seen in self.pages[index].by_request.values())

    async def _measured(self, work: Any) -> dict[str, Any]:
        before = [(page.frames, page.bytes) for page in self.pages.values()]
        started = time.monotonic()
        asked = [seen for turns in await asyncio.gather(*work) for seen in turns]
        seconds = time.monotonic() - started
        frames = sum(page.frames for page in self.pages.values()) - sum(frames for frames, _ in before)
        size = sum(page.bytes for page in self.pages.values()) - sum(size for _, size in before)
        closed = [code for page in self.pages.values() for code in page.closed]
        for page in self.pages.values():
            page.closed.clear()
        return {"turns": [seen.summary() for seen in asked], "seconds": seconds, "frames": frames, "bytes": size, "closed": closed}

    async def pages_of(self, person: int, paths: list[str], rounds: int) -> dict[str, Any]:
        """Nanoseconds of each GET, by path; the paths take turns."""
        page = Page(self.http, self.base, self.people[person])
        times: dict[str, list[int]] = {path: [] for path in paths}
        problems: list[str] = []
        for _ in range(rounds):
            for path in paths:
                status, took = await page.get(path)
                problems += [f"{path} answered {status}"] * (status != 200)
                times[path].append(took)
        return {"times": times, "problems": problems}

    async def admissions(self, people: list[int], seconds: float) -> dict[str, Any]:
        """Sends of one-token questions as fast as they are taken, without a socket."""
        until = time.monotonic() + seconds

        async def one(index: int) -> tuple[int, int]:
            page, sent, refused = Page(self.http, self.base, self.people[index]), 0, 0
            while time.monotonic() < until:
                status = await page.post("send", {"text": "Hello [[tokens=1]]", "model": "", "request_id": str(uuid4())})
                sent, refused = sent + (status == 204), refused + (status != 204)
            return sent, refused

        done = await asyncio.gather(*map(one, people))
        return {"sent": sum(sent for sent, _ in done), "refused": sum(refused for _, refused in done)}


async def serve(base: str, people: list[dict[str, str]]) -> None:
    loop = asyncio.get_running_loop()
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:
        generator = Generator(http, base, people)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command = json.loads(line)
            answer = await getattr(generator, command.pop("do"))(**command)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], json.loads(Path(sys.argv[2]).read_text())))
