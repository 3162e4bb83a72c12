"""Both adapters against the scripted provider on the wire: what comes out is the same canonical message."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
from pytest_django.fixtures import Settings

from tests.threads.scripted import SECRET_KEY, Bench, asking, assistant, bench_for, events_of, told, user
from threads.blocks import BlockDelta, BlockStart, BlockStop, MessageDelta, MessageStart, MessageStop, Partial
from threads.providers import wire
from threads.providers.base import ProviderError

CALCULATOR = {"name": "math/calculator", "description": "Calculates.", "input_schema": {"type": "object", "properties": {}}}
WORDS = "".join(f"w{number} " for number in range(20))


@pytest.fixture(params=["anthropic", "openai"])
async def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(wire, "BACKOFF", 0.01)
    async for one in bench_for(request.param, [SECRET_KEY]):
        yield one


@pytest.fixture
async def anthropic_bench() -> AsyncIterator[Bench]:
    async for one in bench_for("anthropic", [SECRET_KEY]):
        yield one


@pytest.fixture
async def openai_bench() -> AsyncIterator[Bench]:
    async for one in bench_for("openai", [SECRET_KEY]):
        yield one


async def test_an_answer_arrives_in_order_with_its_usage_and_reason(bench: Bench) -> None:
    answer = await bench.ask("[[tokens=20]]")
    assert answer.content() == [{"type": "text", "text": WORDS}]
    assert answer.stop_reason == "end_turn"
    assert answer.usage["output_tokens"] == 20
    assert answer.usage["input_tokens"] > 0
    assert answer.model == "scripted"


async def test_events_come_as_one_bracket_with_blocks_numbered_and_closed_in_turn(bench: Bench) -> None:
    events = await events_of(bench.provider, asking("[[tokens=2 reasoning=2 tool=math__calculator]]", tools=[CALCULATOR]))
    assert isinstance(events[0], MessageStart)
    assert isinstance(events[-2], MessageDelta)
    assert isinstance(events[-1], MessageStop)
    opened: list[int] = []
    closed: list[int] = []
    for event in events:
        match event:
            case BlockStart(index):
                assert opened == closed, "a block opened before the one before it was closed"
                opened.append(index)
            case BlockStop(index):
                closed.append(index)
            case BlockDelta(index):
                assert index == opened[-1]
    assert opened == closed == [0, 1, 2]


@pytest.mark.parametrize("quirk", ["split=random", "split=byte", "ping=3", "crlf", "crlf split=random", "huge", "huge crlf", "unknown"])
async def test_no_way_of_cutting_or_filling_the_stream_changes_the_answer(bench: Bench, quirk: str) -> None:
    answer = await bench.ask(f'[[text="Grüße 😀, one two three" {quirk} tool=math__calculator args=\'{{"a": "ä"}}\']]', tools=[CALCULATOR])
    blocks = [block for block in answer.content() if block["type"] in ("text", "tool_use")]
    assert blocks[0]["text"] == "Grüße 😀, one two three"
    assert blocks[1]["input"] == {"a": "ä"}
    assert answer.stop_reason == "tool_use"


async def test_a_tool_call_comes_under_the_name_it_was_registered_with(bench: Bench) -> None:
    answer = await bench.ask('[[tokens=1 tool=math__calculator args=\'{"expression":"12*7"}\']]', tools=[CALCULATOR])
    call = answer.content()[-1]
    assert call["type"] == "tool_use"
    assert call["name"] == "math/calculator"
    assert call["input"] == {"expression": "12*7"}
    assert call["id"]
    assert bench.server.requests[-1].body["tools"][0].get("name", "math__calculator") == "math__calculator"


@pytest.mark.parametrize("order", ["", "interleave"])
async def test_parallel_calls_keep_their_arguments_apart(bench: Bench, order: str) -> None:
    answer = await bench.ask(
        f"[[tokens=0 tool=a tool=b tool=c args='{{\"n\":1111111}}' args='{{\"n\":2}}' args='{{\"n\":3333333}}' {order}]]"
    )
    assert [(block["name"], block["input"]) for block in answer.content()] == [
        ("a", {"n": 1111111}),
        ("b", {"n": 2}),
        ("c", {"n": 3333333}),
    ]


async def test_reasoning_becomes_a_thinking_block_before_the_text(bench: Bench) -> None:
    answer = await bench.ask("[[reasoning=3 tokens=1]]")
    thinking, text = answer.content()
    assert thinking["thinking"] == "t0 t1 t2 "
    assert thinking["signature"] == ("sig+/==" if bench.vendor == "anthropic" else "")
    assert text == {"type": "text", "text": "w0 "}


async def test_what_anthropic_redacted_and_what_nobody_knows_rides_along(anthropic_bench: Bench) -> None:
    answer = await anthropic_bench.ask("[[redacted unknown tokens=1]]")
    assert answer.content() == [
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "hologram", "beam": 7},
        {"type": "text", "text": "w0 "},
    ]


async def test_cached_tokens_are_counted_apart(bench: Bench) -> None:
    plain = await bench.ask("[[tokens=1 cached=0]]")
    cached = await bench.ask("[[tokens=1 cached=5]]")
    assert cached.usage["cache_read_input_tokens"] == 5
    assert cached.usage["input_tokens"] == plain.usage["input_tokens"] - (5 if bench.vendor == "openai" else 0)


async def test_usage_in_every_chunk_counts_once(openai_bench: Bench) -> None:
    assert (await openai_bench.ask("[[tokens=7 usage_every_chunk]]")).usage["output_tokens"] == 7


async def test_a_server_without_usage_figures_gets_an_estimate_that_says_so(openai_bench: Bench) -> None:
    answer = await openai_bench.ask("[[tokens=10 no_usage]]")
    assert answer.usage["estimated"] is True
    assert answer.usage["output_tokens"] == 8  # 30 characters
    assert answer.usage["input_tokens"] > 0


async def test_a_missing_done_ends_the_answer_all_the_same(openai_bench: Bench) -> None:
    assert (await openai_bench.ask("[[tokens=2 no_done]]")).content() == [{"type": "text", "text": "w0 w1 "}]


@pytest.mark.parametrize(
    ("vendor_reason", "reason"), [("length", "max_tokens"), ("content_filter", "refusal"), ("stop", "end_turn"), ("eos", "end_turn")]
)
async def test_finish_reasons_are_told_in_canonical_words(openai_bench: Bench, vendor_reason: str, reason: str) -> None:
    assert (await openai_bench.ask(f"[[tokens=1 stop={vendor_reason}]]")).stop_reason == reason


async def test_a_partial_answer_is_continued_without_losing_or_doubling_white_space(anthropic_bench: Bench) -> None:
    answer = await anthropic_bench.ask("[[tokens=6]]", assistant("w0 w1 w2 "))
    sent = anthropic_bench.server.requests[-1].body["messages"][-1]
    assert sent["content"][-1]["text"] == "w0 w1 w2", "the API refuses white space at the end"
    assert "w0 w1 w2 " + answer.content()[0]["text"] == "w0 w1 w2 w3 w4 w5 "


async def test_the_limit_is_spelled_as_the_server_knows_it(openai_bench: Bench) -> None:
    await openai_bench.ask("[[tokens=1]]")
    assert openai_bench.server.requests[-1].body["max_tokens"] == 500
    refusal = "[[status=400 message=\"Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.\" times=1 tokens=1]]"
    assert (await openai_bench.ask(refusal)).content() == [{"type": "text", "text": "w0 "}]
    assert openai_bench.server.requests[-1].body["max_completion_tokens"] == 500
    await openai_bench.ask("[[tokens=1]]")
    assert "max_tokens" not in openai_bench.server.requests[-1].body, "it is remembered"


async def test_a_server_without_stream_options_is_asked_without_them(openai_bench: Bench) -> None:
    refusal = "[[status=400 message='Unknown field: stream_options' times=1 tokens=1]]"
    assert (await openai_bench.ask(refusal)).content() == [{"type": "text", "text": "w0 "}]
    assert "stream_options" not in openai_bench.server.requests[-1].body


async def test_a_limit_that_is_too_large_is_no_reason_to_ask_again(openai_bench: Bench) -> None:
    with pytest.raises(ProviderError) as caught:
        await openai_bench.ask("[[status=400 message='max_tokens is too large: 9 for this model']]")
    assert caught.value.kind == "invalid"
    assert len(openai_bench.server.requests) == 1


async def test_closing_the_iterator_closes_the_connection_within_a_second(bench: Bench) -> None:
    batches = bench.provider.stream(asking("[[tokens=1000 delay=20 id=closed]]"))
    async for events in batches:
        if any(isinstance(event, BlockDelta) for event in events):
            break
    before = time.monotonic_ns()
    await batches.aclose()  # type: ignore[attr-defined]
    assert await _closed_ns(bench, "closed") - before < 1_000_000_000


async def test_who_reads_late_gets_what_came_before_the_connection_broke(bench: Bench) -> None:
    """As a turn does that waits until it is written: the break is known by then, and takes nothing back."""
    partial = Partial()

    async def read() -> None:
        async for event in told(bench.provider, asking("[[tokens=20 delay=5 cut=12]]")):
            partial.add(event)
            if isinstance(event, BlockDelta) and partial.content()[0]["text"] == "w0 ":
                await asyncio.sleep(0.5)

    with pytest.raises(ProviderError) as caught:
        await read()
    assert caught.value.kind in ("cut", "connection")
    assert partial.content()[0]["text"] == "".join(f"w{number} " for number in range(12))


@pytest.mark.parametrize("where", ["headers", "first", "mid"])
async def test_cancelling_a_silent_stream_closes_the_connection(bench: Bench, where: str) -> None:
    task = asyncio.create_task(bench.ask(f"[[hang={where} tokens=4 id=hang]]"))
    async with asyncio.timeout(20):
        while not (bench.server.requests if where == "headers" else "hang" in bench.server.times):
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if where != "headers":  # before those nothing is being written
        await _closed_ns(bench, "hang")


async def _closed_ns(bench: Bench, name: str) -> int:
    async with asyncio.timeout(1):
        while "closed_ns" not in bench.server.times[name]:
            await asyncio.sleep(0.01)
    assert bench.server.open == 0
    return bench.server.times[name]["closed_ns"]


async def test_a_hundred_streams_at_once_do_not_mix(bench: Bench) -> None:
    texts = [" ".join([f"a{number}"] * 20) for number in range(100)]
    answers = await asyncio.gather(*(bench.ask(f'[[text="{text}" delay=1]]') for text in texts))
    assert [answer.content()[0]["text"] for answer in answers] == texts


async def test_connections_are_used_again(bench: Bench) -> None:
    for _ in range(5):
        await bench.ask("[[tokens=1]]")
    connector = bench.provider.posts.session.connector  # type: ignore[attr-defined]
    assert sum(len(pool) for pool in connector._conns.values()) == 1


async def test_halves_of_surrogate_pairs_and_nul_never_leave_an_adapter(bench: Bench) -> None:
    # json.dumps of the server writes them raw or escaped; either way the text must be storable.
    answer = await bench.ask("[[tokens=1]] \0 \ud83d".encode("utf-8", "replace").decode())
    assert answer.content()
    payload = json.dumps({"text": "a\0b\ud83dc😀\\ud83d"}).encode()
    assert json.loads(wire.clean_json(payload))["text"] == "a\ufffdb\ufffdc😀\\ud83d"


async def test_a_second_question_after_a_failed_answer_is_one_message_with_the_first(bench: Bench) -> None:
    await bench.ask("first", assistant(""), user("[[tokens=1]]"))
    sent = [message["role"] for message in bench.server.requests[-1].body["messages"]]
    assert sent == ["user"]


async def test_a_history_that_cannot_be_translated_is_a_refusal_and_no_crash(bench: Bench) -> None:
    broken = {"role": "user", "content": [{"type": "tool_result"}]}
    with pytest.raises(ProviderError) as caught:
        await bench.ask(broken)
    assert caught.value.kind == "invalid"


async def test_first_and_idle_time_limits_hold(bench: Bench, settings: Settings) -> None:
    for where, first, idle in (("headers", 0.3, 60), ("first", 0.3, 60), ("mid", 60, 0.3)):
        settings.PROVIDER_FIRST_TOKEN_TIMEOUT, settings.PROVIDER_IDLE_TIMEOUT = first, idle
        began = time.monotonic()
        async with asyncio.timeout(20):  # far less than the other limit
            with pytest.raises(ProviderError) as caught:
                await bench.ask(f"[[hang={where} tokens=4 id={where}]]")
        assert caught.value.kind == "timeout"
        assert time.monotonic() - began > 0.2
    assert len(bench.server.requests) == 3, "whoever waited that long is not made to wait again"
