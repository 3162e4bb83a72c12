"""One simulated tab: sends over HTTP, reads frames from its websocket as the page would, acknowledges them, keeps what they show.

Answers are numbered tokens `w0 w1 …`, so that what a tab shows can be checked to the token at every frame.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field, fields
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec

PART = re.compile(r'<hx-partial hx-target="#(open|text)-([0-9a-f-]{36})" hx-swap="(\w+)">(.*?)</hx-partial>', re.DOTALL)
SECTION = re.compile(
    r'<section [^>]*?id="t-([0-9a-f-]{36})" data-turn="([0-9a-f-]{36})"[^>]*?data-status="(\w+)".*?</section>(?=\s*</hx-upsert>)', re.DOTALL
)
SEQ = re.compile(r'data-seq="(\d+)"')
TOKEN = re.compile(r"\bw\d+\b")
WORDS = [f"w{number}" for number in range(2000)]
PATIENCE = 60.0  # seconds without a frame of a turn
RECONNECT_AFTER = 0.3  # seconds; hx-ws waits that long too
ACK_EVERY = 1.0  # seconds


class Frame(msgspec.Struct):
    n: int
    t: int = 0
    content: str = ""


decode = msgspec.json.Decoder(Frame).decode


@dataclass(slots=True)
class Seen:
    """One turn as its tab saw it. Times are of the monotonic clock, in nanoseconds; 0: never."""

    id: str
    tokens: int
    posted: int = 0
    admitted: int = 0
    first: int = 0
    over: int = 0
    frames: int = 0
    finished: int = 0  # tokens in pieces that will not change
    shown: int = 0  # tokens on the page
    seq: int = 0  # of the answer
    problem: str = ""
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def summary(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "done"}

    def show(self, html: str, before: int, now: int) -> None:
        """`html` follows `before` tokens that the page has already."""
        words = TOKEN.findall(html)
        if words != WORDS[before : before + len(words)]:
            self.problem = self.problem or f"wrong tokens after {before}: {' '.join(words)[:60]}"
        if before + len(words) < self.shown:
            self.problem = self.problem or f"{self.shown} tokens were shown, then {before + len(words)}"
        self.shown = before + len(words)
        if self.shown and not self.first:
            self.first = now

    def end(self, status: str, now: int) -> None:
        self.over = now
        if status != "done":
            self.problem = self.problem or f"ended as {status}"
        elif self.shown != self.tokens:
            self.problem = self.problem or f"{self.shown} of {self.tokens} tokens at the end"
        self.done.set()


class Page:
    """A tab of `person` (`session`, `csrf`) on the thread `thread`."""

    def __init__(self, http: aiohttp.ClientSession, base: str, person: dict[str, str]) -> None:
        self.http = http
        self.base = base
        self.thread = person["thread"]
        self.headers = {
            "Cookie": f"sessionid={person['session']}; csrftoken={person['csrf']}",
            "Origin": base,
            "X-CSRFToken": person["csrf"],
            "X-Requested-With": "fetch",
        }
        self.by_request: dict[str, Seen] = {}
        self.by_turn: dict[str, Seen] = {}
        self.frames = self.bytes = 0
        self.closed: list[int] = []  # codes of sockets that the server closed
        self.since = time.time_ns() // 1_000_000
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self.reader: asyncio.Task[None] | None = None
        self.unacknowledged = 0
        self.acknowledging: asyncio.TimerHandle | None = None
        self.sending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self._connect()
        self.reader = asyncio.create_task(self._follow())

    async def _connect(self) -> None:
        address = f"{self.base}/ws/c/{self.thread}/?since={self.since}"
        self.socket = await self.http.ws_connect(address, headers=self.headers, max_msg_size=0)

    async def _follow(self) -> None:
        """Read; when the server closes the socket, come back as the page does."""
        while self.socket:
            await self._read(self.socket)
            self.closed.append(self.socket.close_code or 0)
            await asyncio.sleep(RECONNECT_AFTER)
            await self._connect()

    async def close(self) -> None:
        if self.reader and self.socket:
            self.reader.cancel()
            await self.socket.close()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            now = time.monotonic_ns()
            frame = decode(message.data)
            self.frames += 1
            self.bytes += len(message.data)
            self.since = frame.t
            self._take(frame.content, now)
            self._acknowledge(socket, frame.n)

    def _acknowledge(self, socket: aiohttp.ClientWebSocketResponse, number: int) -> None:
        """Once a second, as the page's script does."""
        self.unacknowledged = number
        if self.acknowledging is None:
            self.acknowledging = asyncio.get_running_loop().call_later(ACK_EVERY, self._send_acknowledgement, socket)

    def _send_acknowledgement(self, socket: aiohttp.ClientWebSocketResponse | None, read: int = 0) -> None:
        if self.acknowledging:
            self.acknowledging.cancel()
        self.acknowledging = None
        if socket and not socket.closed:
            said = f'{{"ack":{self.unacknowledged},"read":{read}}}' if read else f'{{"ack":{self.unacknowledged}}}'
            self.sending = asyncio.create_task(socket.send_str(said))

    def _take(self, content: str, now: int) -> None:
        for section in SECTION.finditer(content):
            if seen := self.by_request.get(section[1]):
                seen.frames += 1
                self.by_turn[section[2]] = seen
                seen.show(section[0], 0, now)
                seen.finished = len(TOKEN.findall(section[0].split('<div class="open"')[0]))
                seen.seq = max(map(int, SEQ.findall(section[0])), default=0)
                if section[3] not in ("queued", "running"):
                    seen.end(section[3], now)
        for kind, turn, swap, html in PART.findall(content):
            if seen := self.by_turn.get(turn):
                seen.frames += 1
                if swap == "beforebegin":
                    seen.finished += len(TOKEN.findall(html))
                    seen.show(html, seen.finished - len(TOKEN.findall(html)), now)
                elif kind == "open":
                    seen.show(html, seen.finished, now)
                else:
                    seen.show(html, seen.shown, now)

    async def ask(self, tokens: int, delay: float, text: str = "Count for me, please.") -> Seen:
        """Send a message that makes the provider write `tokens` tokens, one every `delay` ms; return when the answer is over."""
        seen = Seen(str(uuid4()), tokens)
        self.by_request[seen.id] = seen
        body = {"text": f"{text} [[id={seen.id} tokens={tokens} delay={delay}]]", "model": "", "request_id": seen.id}
        seen.posted = time.monotonic_ns()
        status = await self.post("send", body)
        seen.admitted = time.monotonic_ns()
        if status != 204:
            seen.problem = f"send answered {status}"
            return seen
        while not seen.over:
            frames = seen.frames
            try:
                async with asyncio.timeout(PATIENCE):
                    await seen.done.wait()
            except TimeoutError:
                if seen.frames == frames:
                    seen.problem = seen.problem or f"nothing more came for {PATIENCE:.0f} s (socket closed with {self.closed})"
                    return seen
        self._send_acknowledgement(self.socket, seen.seq)  # as the page does when an answer is complete on screen
        return seen

    async def post(self, what: str, body: dict[str, str]) -> int:
        async with self.http.post(f"{self.base}/c/{self.thread}/{what}", data=body, headers=self.headers) as response:
            await response.read()
            return response.status

    async def get(self, path: str) -> tuple[int, int]:
        """(status, nanoseconds until the last byte)."""
        started = time.monotonic_ns()
        async with self.http.get(self.base + path, headers=self.headers) as response:
            await response.read()
            return response.status, time.monotonic_ns() - started
