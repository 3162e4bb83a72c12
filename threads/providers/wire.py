"""What all HTTP adapters share: server-sent events from raw bytes, time limits, keys in turn, retries while nothing was shown."""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing

import httpx2
import msgspec

from threads.blocks import BlockDelta, BlockStart, Event, MessageDelta
from threads.providers.base import ProviderError

TRIES = 3
BACKOFF = 0.5  # seconds before the second try, doubled for the third; half of it is chance
LONGEST_WAIT = 20.0  # seconds; whoever asks for more is not waited for
MAX_LINE = 32 * 1024 * 1024  # bytes of one event
DRAIN_SECONDS = 0.1

ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?|.)", re.DOTALL)


class Lines:
    """Cuts bytes into the payloads of `data:` lines. Both protocols put one JSON value on one line, so a line is an event."""

    __slots__ = ("rest", "size")

    def __init__(self) -> None:
        self.rest: list[bytes] = []
        self.size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Payloads completed by this chunk, wherever it was cut. Raises ValueError when a line never ends."""
        if b"\n" not in chunk:
            self.size += len(chunk)
            if self.size > MAX_LINE:
                raise ValueError("a line of the stream does not end")
            self.rest.append(chunk)
            return []
        if self.rest:
            chunk = b"".join((*self.rest, chunk))
        *lines, last = chunk.split(b"\n")
        self.rest = [last] if last else []
        self.size = len(last)
        return [payload for line in lines if line.startswith(b"data:") and (payload := line[5:].strip())]

    def end(self) -> list[bytes]:
        """What a last line without its line end holds."""
        return self.feed(b"\n")


class Payloads:
    """The events of a response, as they arrive, while no pause between bytes is longer than a limit.

    One timer per response looks at the clock now and then: `asyncio.timeout` around every read costs a third of the read.
    """

    def __init__(self, response: httpx2.Response, limit: float) -> None:
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        # The stream itself where nothing has to be unpacked: three generators less for each read.
        self.chunks = aiter(response.aiter_bytes() if encoded else response.stream)
        self.lines = Lines()
        self.ended = self.expired = False
        self.task: asyncio.Task[object] | None = None  # who waits for bytes, since when, and how often it was cancelled before
        self.since = 0.0
        self.cancelled_before = 0
        self.loop = asyncio.get_running_loop()
        self.limit = limit
        self.timer = self.loop.call_later(limit, self._look)

    def bear(self, limit: float) -> None:
        """From now on, `limit` seconds without a byte are too many."""
        if limit != self.limit:
            self.limit = limit
            self.timer.cancel()
            self.timer = self.loop.call_later(limit, self._look)

    async def batch(self) -> list[bytes] | None:
        """Everything that one read brought (perhaps nothing), None at the end. Raises TimeoutError and httpx2.HTTPError."""
        if self.ended:
            return None
        task = self.task = asyncio.current_task()
        assert task is not None
        self.cancelled_before = task.cancelling()
        self.since = self.loop.time()
        try:
            return self.lines.feed(await anext(self.chunks))
        except StopAsyncIteration:
            self.ended = True
            return self.lines.end()
        except asyncio.CancelledError:
            if self.expired and task.uncancel() <= self.cancelled_before:
                raise TimeoutError from None
            raise
        finally:
            self.task = None

    async def drain(self) -> None:
        """Read to the end of the response after the last event, so that its connection can be used again."""
        self.bear(DRAIN_SECONDS)
        try:
            while await self.batch() is not None:
                pass
        except (TimeoutError, httpx2.HTTPError, ValueError):
            return  # then it is closed

    def close(self) -> None:
        self.timer.cancel()

    def _look(self) -> None:
        left = self.limit - (self.loop.time() - self.since) if self.task is not None else self.limit
        if left > 0 or self.task is None:
            self.timer = self.loop.call_later(left, self._look)
        else:
            self.expired = True
            self.task.cancel()


class Keys:
    """API keys in turn: one that is refused or worn out gives way to the next, for all calls that follow."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.current = 0

    def take(self) -> int:
        return self.current

    def give_up(self, key: int) -> None:
        if key == self.current:
            self.current = (key + 1) % len(self.keys)


def read_all(read: Callable[[bytes], Iterable[Event]], payloads: Iterable[bytes]) -> tuple[list[Event], Exception | None]:
    """The events of `payloads` up to the one that `read` has a complaint about, and that complaint."""
    events: list[Event] = []
    try:
        for payload in payloads:
            events += read(payload)
    except (ProviderError, msgspec.MsgspecError, ValueError) as error:
        return events, error
    return events, None


async def with_retries(begin: Callable[[int], AsyncGenerator[list[Event]]], keys: Keys) -> AsyncIterator[list[Event]]:
    """The events of `begin(key)`, begun anew after a failure that may pass, as long as nothing of it could be seen."""
    failed = 0
    refused: set[int] = set()
    while True:
        key = keys.take()
        held: list[Event] = []
        shown = False
        try:
            async with aclosing(begin(key)) as batches:
                async for events in batches:
                    if not shown:
                        held += events
                        shown = any(map(_visible, events))
                        events = held
                    if shown:
                        yield events
            return
        except ProviderError as error:
            if shown:
                raise
            if error.kind in ("authentication", "rate_limit"):
                keys.give_up(key)
                refused.add(key)
                if keys.take() not in refused:
                    continue
                refused.clear()
            failed += 1
            wait = _wait(error, failed)
            if failed >= TRIES or not _may_pass(error) or wait > LONGEST_WAIT:
                raise
        await asyncio.sleep(wait)


def clean_json(payload: bytes) -> bytes:
    r"""JSON in which \u0000 and half surrogate pairs are U+FFFD: no string of it can hurt PostgreSQL or UTF-8."""
    return ESCAPE.sub(_clean_escape, payload) if b"\\u" in payload else payload


def _clean_escape(match: re.Match[bytes]) -> bytes:
    first, second = match[1], match[2]
    if first is None:
        return match[0]
    code = int(first, 16)
    if 0xD800 <= code <= 0xDBFF:
        return match[0] if second else rb"\ufffd"
    head = rb"\ufffd" if code == 0 or 0xDC00 <= code <= 0xDFFF else rb"\u" + first
    return head + (rb"\ufffd" if second else b"")


def _visible(event: Event) -> bool:
    match event:
        case BlockDelta() | MessageDelta():
            return True
        case BlockStart(_, block):
            return block.get("type") not in ("text", "thinking")
        case _:
            return False


def _wait(error: ProviderError, failed: int) -> float:
    """Seconds until the next try: never less than what was asked for, never the same for all who wait."""
    dice = random.random()  # noqa: S311
    if error.retry_after is not None:
        return error.retry_after * (1 + dice / 4) + BACKOFF * dice / 4
    return BACKOFF * 2.0 ** (failed - 1) * (0.5 + dice / 2)


def _may_pass(error: ProviderError) -> bool:
    """Whether another try could help soon. After a time limit the person has waited long enough."""
    return error.retryable and error.kind not in ("timeout", "malformed")
