"""Failures of providers: the right kind, a sentence that helps, nothing secret in it, and retries only while nothing was shown."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.threads.scripted import MODEL, SECRET_KEY, Bench, asking, bench_for, told
from threads.blocks import Partial
from threads.providers import wire
from threads.providers.base import ErrorKind, ProviderError
from threads.providers.failures import Vendor, classify, retry_after, scrub


@pytest.fixture(params=["anthropic", "openai"])
async def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(wire, "BACKOFF", 0.01)
    async for one in bench_for(request.param, [SECRET_KEY]):
        yield one


@pytest.fixture(params=["anthropic", "openai"])
async def three_keys(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async for one in bench_for(request.param, ["one", "two", "three"]):
        yield one


async def failing(bench: Bench, text: str) -> tuple[ProviderError, Partial]:
    partial = Partial()
    try:
        async for event in told(bench.provider, asking(text)):
            partial.add(event)
    except ProviderError as error:
        return error, partial
    pytest.fail("no error was raised")


@pytest.mark.parametrize(
    ("directive", "kind", "requests"),
    [
        ("status=401", "authentication", 1),
        ("status=403", "authentication", 1),
        ("status=402", "billing", 1),
        ("status=400 message='Your credit balance is too low'", "billing", 1),
        ("status=429 error=insufficient_quota", "billing", 1),
        ("status=429", "rate_limit", 3),
        ("status=529", "overloaded", 3),
        ("status=503", "overloaded", 3),
        ("status=500", "server", 3),
        ("status=502", "server", 3),
        ("status=404", "not_found", 1),
        ("status=400", "invalid", 1),
        ("status=413", "too_long", 1),
        ("status=400 message='prompt is too long: 210000 tokens > 200000 maximum'", "too_long", 1),
        ("status=400 error=context_length_exceeded", "too_long", 1),
        ("status=400 error=content_policy_violation", "refused", 1),
        ("error_in_200 error=overloaded_error", "overloaded", 3),
        ("error_in_200 error=api_error", "server", 3),
        ("error_in_200 error=rate_limit_error", "rate_limit", 3),
        ("cut=0", "cut", 3),
        ("malformed=0", "malformed", 1),
    ],
)
async def test_each_failure_has_its_kind_and_is_tried_again_only_where_that_helps(
    bench: Bench, directive: str, kind: ErrorKind, requests: int
) -> None:
    error, partial = await failing(bench, f"[[{directive}]]")
    assert error.kind == kind
    assert len(bench.server.requests) == requests
    assert not partial.shown
    assert error.message.endswith(".")
    assert len(error.message) < 200


@pytest.mark.parametrize("directive", ["error_in_200 error=overloaded_error after=3", "cut=3", "malformed=3"])
async def test_nothing_is_tried_again_once_something_was_shown(bench: Bench, directive: str) -> None:
    error, partial = await failing(bench, f"[[{directive} tokens=9]]")
    assert error.kind in ("overloaded", "cut", "malformed")
    assert partial.content() == [{"type": "text", "text": "w0 w1 w2 "}]
    assert len(bench.server.requests) == 1


@pytest.mark.parametrize("directive", ["status=529", "status=500", "error_in_200 error=overloaded_error", "cut=0"])
async def test_a_failure_that_passes_is_never_seen(bench: Bench, directive: str) -> None:
    answer = await bench.ask(f"[[{directive} times=2 tokens=3]]")
    assert answer.content() == [{"type": "text", "text": "w0 w1 w2 "}]
    assert len(bench.server.requests) == 3


async def test_a_hint_when_to_come_back_is_followed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LONGEST_WAIT", 0.4)  # a longer one than was asked for fails
    began = time.monotonic()
    await bench.ask("[[status=429 retry_after=0.3 times=1]]")
    assert time.monotonic() - began >= 0.3


async def test_a_hint_that_is_too_far_away_is_told_to_the_person(bench: Bench) -> None:
    error, _ = await failing(bench, "[[status=429 retry_after=90]]")
    assert len(bench.server.requests) == 1
    assert error.retry_after == 90
    assert "90 s" in error.message


@pytest.mark.parametrize("status", [401, 429])
async def test_another_key_is_tried_at_once_and_kept(three_keys: Bench, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LONGEST_WAIT", 0)  # any wait at all fails
    await three_keys.ask(f"[[status={status} key=one tokens=1]]")
    await three_keys.ask(f"[[status={status} key=one tokens=1]]")
    assert [seen.key for seen in three_keys.server.requests] == ["one", "two", "two"]


async def test_when_all_keys_are_refused_each_was_asked_once(three_keys: Bench) -> None:
    error, _ = await failing(three_keys, "[[status=401]]")
    assert error.kind == "authentication"
    assert [seen.key for seen in three_keys.server.requests] == ["one", "two", "three"]


async def test_no_sentence_and_no_detail_holds_a_key_or_what_the_provider_sent(bench: Bench) -> None:
    message = f"Incorrect API key provided: {SECRET_KEY}. You sent <html>private prompt</html>"
    for status in (400, 401, 403, 404, 429, 500):
        error, _ = await failing(bench, f'[[status={status} message="{message}"]]')
        assert SECRET_KEY not in error.message + error.detail
        assert "private prompt" not in error.message
        assert str(status) in error.detail


async def test_a_server_that_is_not_there_is_said_to_be_unreachable(bench: Bench) -> None:
    await bench.server.close()
    error, _ = await failing(bench, "hello")
    assert error.kind == "connection"
    assert "could not be reached" in error.message


async def test_an_answer_that_is_no_json_is_still_classified(bench: Bench) -> None:
    # A proxy's page in front of the provider, not the provider itself.
    vendor = Vendor("OpenAI", "OPENAI_API_KEY")
    error = vendor.refusal(MODEL, 502, {}, "<html>Bad gateway key=sk-abcdefgh</html>")
    assert (error.kind, error.retryable) == ("server", True)
    assert "<html>" not in error.message + error.detail


async def test_a_stopped_wait_for_a_retry_makes_no_more_requests(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = asyncio.Event()

    def long(error: ProviderError, failed: int) -> float:
        waiting.set()
        return 15

    monkeypatch.setattr(wire, "_wait", long)
    task = asyncio.create_task(bench.ask("[[status=529]]"))
    await asyncio.wait_for(waiting.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(bench.server.requests) == 1


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "prompt is too long: 205123 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "the request exceeds the available context size, try increasing it",
        "Input is too long for requested model.",
        "context window exceeded",
    ],
)
def test_every_known_way_to_say_too_long_is_understood(message: str) -> None:
    assert classify(400, "invalid_request_error", "", message) == "too_long"


def test_waiting_times_come_as_seconds_milliseconds_and_dates() -> None:
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert retry_after({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert retry_after({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}) == 3600, "bounded"
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


def test_keys_are_hidden_from_what_operators_read() -> None:
    assert "abcdef" not in scrub("key sk-abcdef123456 and Bearer abcdef.ghi-jkl are wrong")
