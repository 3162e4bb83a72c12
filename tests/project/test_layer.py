"""The channel layer, over a real Redis: who hears what, and what becomes of it when Redis goes away."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings

from chatai.lib import embedded, layer
from chatai.lib.layer import Layer

WORK = {"type": "hint", "said": [["work", []]]}


@pytest.fixture
async def two() -> AsyncIterator[tuple[Layer, Layer]]:
    """As in two processes."""
    pair = Layer(settings.REDIS_URL, "test"), Layer(settings.REDIS_URL, "test")
    yield pair
    for one in pair:
        await one.close()


async def heard(one: Layer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        return await one.receive(channel)


async def joined(one: Layer, group: str) -> str:
    channel = await one.new_channel(group)
    await one.group_add(group, channel)
    return channel


def test_it_is_the_one_that_is_used() -> None:
    assert isinstance(get_channel_layer(), Layer)


async def test_a_group_hears_what_it_is_told_and_nothing_else(two: tuple[Layer, Layer]) -> None:
    here, there = two
    live, replies = await joined(here, "live"), await joined(there, "replies")
    await here.group_send("replies", WORK)
    await there.group_send("live", {**WORK, "n": 1})
    assert await heard(there, replies) == WORK
    assert await heard(here, live) == {**WORK, "n": 1}


async def test_every_channel_of_a_group_hears_it_in_order(two: tuple[Layer, Layer]) -> None:
    here, there = two
    channels = [await joined(here, "live"), await joined(here, "live"), await joined(there, "live")]
    for number in range(50):
        await there.group_send("live", {**WORK, "n": number})
    for one, channel in zip((here, here, there), channels, strict=True):
        assert [(await heard(one, channel))["n"] for _ in range(50)] == list(range(50))


async def test_a_process_without_a_loop_is_heard_too(two: tuple[Layer, Layer]) -> None:
    here, there = two
    channel = await joined(here, "live")
    await sync_to_async(there.send_now)("live", WORK)
    assert await heard(here, channel) == WORK


async def test_whoever_does_not_listen_loses_the_oldest(two: tuple[Layer, Layer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "MOST_WAITING", 3)
    here, there = two
    slow, witness = await joined(here, "live"), await joined(there, "live")
    for number in range(10):
        await there.group_send("live", {**WORK, "n": number})
        await heard(there, witness)
    await here.group_send("live", {**WORK, "n": 10})
    await heard(there, witness)
    await asyncio.sleep(0.1)
    assert [(await heard(here, slow))["n"] for _ in range(3)] == [8, 9, 10]


async def test_it_comes_back_with_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(layer, "AGAIN_AFTER", 0.05)
    server = embedded.redis_server(tmp_path)
    process = await asyncio.to_thread(embedded.start, server, tmp_path / "log")
    one = Layer(server.url)
    try:
        channel = await joined(one, "live")
        await one.group_send("live", WORK)
        assert await heard(one, channel) == WORK
        process.kill()
        await asyncio.to_thread(process.wait)
        with pytest.raises((redis.RedisError, OSError)):
            await one.group_send("live", WORK)
        process = await asyncio.to_thread(embedded.start, server, tmp_path / "log")
        async with asyncio.timeout(10):
            waiting = asyncio.create_task(one.receive(channel))
            while not waiting.done():  # until it listens again nobody hears
                await one.group_send("live", {**WORK, "n": 2})
                await asyncio.wait([waiting], timeout=0.05)
        assert waiting.result() == {**WORK, "n": 2}
        assert "waiting for Redis" in caplog.text
    finally:
        await one.close()
        await asyncio.to_thread(embedded.stop, server, process)


async def test_whoever_joins_in_vain_leaves_nothing_behind() -> None:
    nowhere = Layer("redis://127.0.0.1:1")
    for _ in range(3):
        with pytest.raises((redis.RedisError, OSError)):
            await joined(nowhere, "live")
    (lines,) = nowhere.lines.values()
    assert not any(lines.channels.values())
    await nowhere.close()


async def test_a_send_that_was_given_up_takes_no_answer_of_the_next(two: tuple[Layer, Layer], monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = two
    channel = await joined(there, "live")
    await here.group_send("live", {**WORK, "n": 0})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await here.group_send("live", {**WORK, "n": 1})
    await here.group_send("live", {**WORK, "n": 2})
    assert (await heard(there, channel))["n"] == 0
    rest = [(await heard(there, channel))["n"]]
    if rest == [1]:  # it may have left before it was given up
        rest.append((await heard(there, channel))["n"])
    assert rest[-1] == 2


async def test_what_is_said_at_once_is_heard_where_there_is_a_connection(two: tuple[Layer, Layer]) -> None:
    here, there = two
    channel = await joined(there, "live")
    assert not here.speak("live", WORK)  # nothing has connected yet
    await here.group_send("live", {**WORK, "n": 0})
    assert all(here.speak("live", {**WORK, "n": number}) for number in range(1, 21))
    await here.group_send("live", {**WORK, "n": 21})  # its own answer, behind twenty that nobody waits for
    assert [(await heard(there, channel))["n"] for _ in range(22)] == list(range(22))


async def test_a_redis_that_does_not_answer_is_not_spoken_to_without_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = embedded.redis_server(tmp_path)
    process = await asyncio.to_thread(embedded.start, server, tmp_path / "log")
    one = Layer(server.url)
    try:
        await one.group_send("live", WORK)
        process.send_signal(signal.SIGSTOP)
        said = [one.speak("live", {**WORK, "n": number}) for number in range(layer.MOST_UNANSWERED + 5)]
        assert (said.count(True), said[-1]) == (layer.MOST_UNANSWERED, False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await one.group_send("live", WORK)
        assert "may not have been sent" in caplog.text
        process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(5):
            await one.group_send("live", WORK)
        assert one.speak("live", WORK)
    finally:
        process.send_signal(signal.SIGCONT)
        await one.close()
        await asyncio.to_thread(embedded.stop, server, process)
