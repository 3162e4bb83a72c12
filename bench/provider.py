"""The scripted provider: both vendors' protocols over HTTP, every quirk on demand, the same answer to the same request.

    python -m bench.provider --port 9000 [--delay-ms 20] [--tokens 60]

`/v1/messages`, `/v1/chat/completions`, `/v1/models`; `/_stats?id=X` (times of that request), `/_stats` (totals), with `?bodies=n` the
newest requests, and `/_used` (what each answer is to be paid for: tokens in, and those of the text that were written). Scripts: see
`bench.script`. In a test: `server = await start()`, then `server.base_url`, `server.requests`, `await server.close()`.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web

from bench.protocols import Anthropic, Dialect, OpenAI, Step, failure_at, steps
from bench.script import Script, ScriptError, parse

TICK = 0.001  # seconds; timers of all streams are merged into ticks
KEEP = 20_000  # requests and times remembered


@dataclass(slots=True)
class Seen:
    """One request as it arrived."""

    path: str
    key: str
    body: dict[str, Any]
    text: str
    at_ns: int


@dataclass(slots=True)
class Stream:
    """One answer being written. The ticker pushes its steps; `over` is set when nothing more will come."""

    transport: asyncio.Transport
    steps: list[Step]
    times: dict[str, int]
    over: asyncio.Event = field(default_factory=asyncio.Event)
    position: int = 0
    written: int | None = None  # steps, when the caller hung up
    dropped: bool = False


class Ticker:
    """One timer for all streams: a list of due streams per tick, so that 1,000 of them cost one wake-up a millisecond."""

    def __init__(self) -> None:
        self.due: dict[int, list[Stream]] = {}
        self.done = 0
        self.wake = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self.run())

    def add(self, stream: Stream) -> None:
        if self.push(stream, time.monotonic()):
            self.wake.set()

    async def run(self) -> None:
        while True:
            if not self.due:
                self.wake.clear()
                await self.wake.wait()
            await asyncio.sleep(TICK)
            now = time.monotonic()
            for tick in sorted(tick for tick in self.due if tick <= now / TICK):
                for stream in self.due.pop(tick):
                    self.push(stream, tick * TICK, skip_wait=True)

    def push(self, stream: Stream, now: float, skip_wait: bool = False) -> bool:
        """Write what is due of a stream; whether it waits for a later tick."""
        steps, transport = stream.steps, stream.transport
        while stream.position < len(steps):
            wait, data, first = steps[stream.position]
            if transport.is_closing():
                stream.dropped = True
                break
            if wait and not skip_wait:
                self.due.setdefault(int((now + wait / 1000) / TICK), []).append(stream)
                return True
            skip_wait = False
            stream.position += 1
            if data is None:
                transport.abort()
                stream.dropped = True
                break
            if first:
                stream.times["first_sent_ns"] = time.monotonic_ns()
            transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        stream.times["last_sent_ns"] = time.monotonic_ns()
        stream.over.set()
        return False


class Server:
    """A running scripted provider."""

    def __init__(self, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.requests: deque[Seen] = deque(maxlen=KEEP)
        self.times: dict[str, dict[str, int]] = {}
        self.attempts: Counter[str] = Counter()
        self.used: deque[dict[str, Any]] = deque(maxlen=KEEP)
        self.open = self.peak = self.closed_by_client = 0
        self.base_url = ""
        self.ticker = Ticker()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/messages", self.messages)
        app.router.add_post("/v1/chat/completions", self.completions)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/_stats", self.stats)
        app.router.add_get("/_used", self.uses)
        self.runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)

    async def listen(self, host: str, port: int) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, host, port, backlog=4096).start()
        self.base_url = f"http://{host}:{self.runner.addresses[0][1]}"

    async def close(self) -> None:
        self.ticker.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.ticker.task
        await self.runner.cleanup()

    async def messages(self, request: web.Request) -> web.StreamResponse:
        return await self.answer(request, Anthropic())

    async def completions(self, request: web.Request) -> web.StreamResponse:
        return await self.answer(request, OpenAI())

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "scripted", "object": "model", "created": 1, "owned_by": "bench"}]})

    async def stats(self, request: web.Request) -> web.Response:
        if "id" in request.query:
            return web.json_response(self.times.get(request.query["id"], {}))
        counts = {"requests": len(self.requests), "open": self.open, "peak": self.peak, "closed_by_client": self.closed_by_client}
        if "bodies" in request.query:
            newest = [seen.body for seen in self.requests][-int(request.query["bodies"]) :]
            return web.json_response({**counts, "bodies": newest})
        return web.json_response({**counts, "times": self.times} if "times" in request.query else counts)

    async def uses(self, request: web.Request) -> web.Response:
        return web.json_response(list(self.used))

    async def answer(self, request: web.Request, dialect: Dialect) -> web.StreamResponse:
        key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        body = json.loads(await request.read())
        seen = Seen(request.path, key, body, last_user_text(body), time.monotonic_ns())
        self.requests.append(seen)
        try:
            script = parse(seen.text, **self.defaults)
        except ScriptError as error:
            return web.json_response(dialect.error(Script(status=400, message=str(error))), status=400)
        script.begun = partial_answer(body)
        self.attempts[seen.text] += 1
        if script.fails and not self.meant(script, key, self.attempts[seen.text]):
            script = healthy(script)
        if script.status:
            hints = {"retry-after": script.retry_after, "retry-after-ms": script.retry_after_ms}
            headers = {name: value for name, value in hints.items() if value}
            return web.json_response(dialect.error(script), status=script.status, headers={**headers, "request-id": "req_scripted"})
        if script.hang == "headers":
            await self.forever()
        input_tokens = max(1, len(json.dumps(body["messages"])) // 4)
        if not body.get("stream"):
            return web.json_response(dialect.whole(script, body["model"], input_tokens))
        return await self.stream(request, dialect, script, seen, input_tokens)

    async def stream(self, request: web.Request, dialect: Dialect, script: Script, seen: Seen, input_tokens: int) -> web.StreamResponse:
        times = {"received_ns": seen.at_ns}
        if script.id:
            self.times[script.id] = times
            if len(self.times) > KEEP:
                del self.times[next(iter(self.times))]
        (wait, opening, is_token), *rest = steps(dialect, script, seen.body["model"], input_tokens)
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
        response.enable_chunked_encoding()
        self.open += 1
        self.peak = max(self.peak, self.open)
        stream = Stream(cast(asyncio.Transport, request.transport), rest, times)
        try:
            await response.prepare(request)
            await asyncio.sleep(wait / 1000)
            if is_token:
                times["first_sent_ns"] = time.monotonic_ns()
            await response.write(opening or b"")
            # From here on past aiohttp's writer, which would cost more than everything else.
            self.ticker.add(stream)
            await stream.over.wait()
            if script.hang and not stream.dropped:
                await self.forever()
            return response
        except asyncio.CancelledError:
            self.closed_by_client += 1
            stream.times["closed_ns"] = time.monotonic_ns()
            stream.written, stream.position = stream.position, len(stream.steps)
            raise
        finally:
            self.open -= 1
            words = len(script.words())
            stop = failure_at(script, words)
            steps_written = stream.position if stream.written is None else stream.written
            tokens = min(steps_written, words if stop is None else stop)  # each step is one, up to the closing frames
            self.used.append({"id": script.id, "input_tokens": input_tokens, "output_tokens": tokens})

    async def forever(self) -> None:
        await asyncio.Event().wait()

    def meant(self, script: Script, key: str, attempt: int) -> bool:
        return (not script.key or script.key == key) and (not script.times or attempt <= script.times)


def healthy(script: Script) -> Script:
    script.status = 0
    script.error_in_200 = False
    script.hang = ""
    script.cut = script.malformed = -1
    return script


def last_user_text(body: dict[str, Any]) -> str:
    """The text of the newest message that is the user's; empty when tools have answered since, whose words are no script."""
    newest = next((message for message in reversed(body["messages"]) if message["role"] in ("user", "tool")), None)
    return text_of(newest) if newest and newest["role"] == "user" else ""


def partial_answer(body: dict[str, Any]) -> str:
    """The text of an answer that is to be continued."""
    return text_of(body["messages"][-1]) if body["messages"][-1]["role"] == "assistant" else ""


def text_of(message: dict[str, Any]) -> str:
    content = message["content"] or ""
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content if part["type"] == "text")


async def start(port: int = 0, host: str = "127.0.0.1", **defaults: Any) -> Server:
    """A server on `port` (0: any free one); `defaults` are script fields, such as `tokens=60`."""
    server = Server(defaults)
    await server.listen(host, port)
    return server


async def serve(arguments: argparse.Namespace) -> None:
    server = await start(arguments.port, arguments.host, delay=arguments.delay_ms, tokens=arguments.tokens)
    print(f"scripted provider on {server.base_url}", flush=True)
    stopped = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    await stopped.wait()
    await server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--tokens", type=int, default=20)
    arguments = parser.parse_args()
    try:
        import uvloop
    except ModuleNotFoundError:
        asyncio.run(serve(arguments))
    else:
        uvloop.run(serve(arguments))


if __name__ == "__main__":
    main()
