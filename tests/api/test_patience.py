"""The rules of hosts that cut connections: a first byte in time, never silent for long; and nobody is kept once they left.

In this process, so that seconds can be made shorter: the application is called as a server would call it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from chatai.handler import ThreadedHandler
from tests.api.client import MODEL, Caller
from threads.live import sse, thread_feed, whole
from threads.live.tailer import tailer

SLOW = "[[tokens=40 delay=50]]"  # two seconds
Message = dict[str, Any]


@asynccontextmanager
async def request(path: str, key: str, body: Any = None) -> AsyncIterator[tuple[Callable[[], Any], "asyncio.Queue[Message]"]]:
    """`hang_up()` and a queue of what the server sends."""
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET" if body is None else "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"x-api-key", key.encode()), (b"host", b"localhost")],
    }
    await incoming.put({"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()})
    task = asyncio.create_task(ThreadedHandler()(scope, incoming.get, outgoing.put))  # type: ignore[arg-type]
    try:
        yield lambda: incoming.put_nowait({"type": "http.disconnect"}), outgoing
    finally:
        incoming.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(task, 20)


async def body_of(outgoing: "asyncio.Queue[Message]") -> tuple[int, list[bytes]]:
    start = await asyncio.wait_for(outgoing.get(), 20)
    parts = []
    while True:
        message = await asyncio.wait_for(outgoing.get(), 20)
        if message.get("body"):
            parts.append(message["body"])
        if not message.get("more_body"):
            return start["status"], parts


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not check():
            await asyncio.sleep(0.01)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Half seconds for quarters of minutes."""
    settings.ANTHROPIC_API_KEYS = ["as the stack has them"]
    monkeypatch.setattr(whole, "FIRST_BYTE", 0.5)
    monkeypatch.setattr(whole, "SPACE_EVERY", 0.4)
    monkeypatch.setattr(sse, "KEEP_ALIVE", 0.4)
    monkeypatch.setattr(sse, "EVENT_PATIENCE", 0.5)
    monkeypatch.setattr(sse, "START_PATIENCE", 0.5)
    monkeypatch.setattr("threads.live.thread_feed.KEEP_ALIVE", 0.4)


def test_the_rules_are_kept() -> None:
    """Routers of Heroku-style hosts wait 30 s for a first byte and 55 s for each further one; clients 90 s (contract, 5.5)."""
    assert sse.START_PATIENCE + sse.EVENT_PATIENCE < 25
    assert whole.FIRST_BYTE < 28
    assert max(sse.KEEP_ALIVE, whole.SPACE_EVERY) <= 25


async def test_a_long_answer_in_one_piece_begins_with_white_space(short: None, admin: Caller) -> None:
    thread_id = await sync_to_async(admin.thread)()
    body = {"model": MODEL, "content": SLOW}
    async with request(f"/v1/threads/{thread_id}/messages", admin.key, body) as (_, outgoing):
        status, parts = await body_of(outgoing)
    assert status == 200
    assert len(parts) > 3
    assert set(parts[:-1]) == {b" "}
    assert json.loads(b"".join(parts))["content"][0]["text"].count("w") == 40


async def test_a_late_failure_is_the_body(short: None, admin: Caller) -> None:
    thread_id = await sync_to_async(admin.thread)()
    body = {"model": MODEL, "content": "[[tokens=40 delay=50 after=30 error_in_200 error=overloaded_error]]"}
    async with request(f"/v1/threads/{thread_id}/messages", admin.key, body) as (_, outgoing):
        status, parts = await body_of(outgoing)
    assert (status, json.loads(b"".join(parts))["error"]["type"]) == (200, "overloaded_error")


async def test_a_stream_is_never_silent_for_long(short: None, admin: Caller) -> None:
    thread_id = await sync_to_async(admin.thread)()
    body = {"model": MODEL, "content": "[[tokens=3 delay=1000]]", "stream": True}
    path = f"/v1/threads/{thread_id}/messages"
    async with request(path, admin.key, body) as (_, outgoing):
        await until(lambda: not outgoing.empty())
        async with request(path, admin.key, body | {"content": "[[tokens=2]]"}) as (_, waiting):
            _, queued = await body_of(waiting)
        _, parts = await body_of(outgoing)
    for spoken in (parts, queued):
        assert b": keep-alive\n\n" in spoken
        assert all(part.endswith(b"\n\n") and part.count(b"\n\n") == 1 for part in spoken), "one whole event per write"
    assert queued[0].startswith(b"event: qlaud.queued\n")


async def test_who_hangs_up_is_forgotten_at_once(short: None, admin: Caller) -> None:
    thread_id = await sync_to_async(admin.thread)()
    path = f"/v1/threads/{thread_id}/messages"
    body = {"model": MODEL, "content": "[[tokens=100 delay=50]]", "stream": True}
    async with request(path, admin.key, body) as (hang_up, outgoing):
        while not (await asyncio.wait_for(outgoing.get(), 20)).get("body", b"").startswith(b"event: content_block_delta"):
            pass
        assert len(tailer().followers) == 1
        async with request(path, admin.key, body | {"content": "[[tokens=2]]"}) as (leave, waiting):  # queued behind it
            while not (await asyncio.wait_for(waiting.get(), 20)).get("body"):
                pass
            async with request(f"/v1/threads/{thread_id}/events", admin.key) as (stop, feed):
                await asyncio.wait_for(feed.get(), 20)
                await until(lambda: tailer().bells)
                for gone in (hang_up, leave, stop):
                    gone()
                await until(lambda: not tailer().followers and not tailer().bells)
                rows = (await sync_to_async(admin.messages)(thread_id))["data"]
                assert [row["role"] for row in rows] == ["user"], "while the first is still being answered"
    while len(rows) < 4:
        await asyncio.sleep(0.3)
        rows = (await sync_to_async(admin.messages)(thread_id))["data"]
    assert [row["status"] for row in rows] == ["complete"] * 4


async def test_a_feed_is_kept_alive_and_asks_to_come_back(short: None, admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_feed, "LASTS", 3.0)
    thread_id = await sync_to_async(admin.thread)()
    async with request(f"/v1/threads/{thread_id}/events", admin.key) as (_, outgoing):
        _, parts = await body_of(outgoing)
    assert parts[0].startswith(b"event: thread\nid: thread:1\ndata: ")
    assert b"event: keepalive\ndata: {}\n\n" in parts
    assert parts[-1] == b"event: reconnect\ndata: {}\n\n"
