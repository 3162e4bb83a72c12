"""Bytes to events: the same message wherever the stream is cut, and a clear refusal for what is no stream."""

import json
import random
from collections.abc import Callable

import msgspec
import pytest

from bench.protocols import Anthropic, OpenAI, steps
from bench.script import parse
from tests.threads.scripted import asking
from threads.blocks import Partial
from threads.providers.anthropic import Reader as AnthropicReader
from threads.providers.failures import Vendor
from threads.providers.history import ToolNames
from threads.providers.openai_reader import Reader as OpenAIReader
from threads.providers.wire import Lines, clean_json

SCRIPT = 'text="Grüße 😀 one\ntwo" reasoning=2 tool=a tool=b args=\'{"x": "ä😀"}\' args=\'{"y": 2}\' ping=2 unknown'


def recording(dialect: Anthropic | OpenAI, script: str) -> bytes:
    return b"".join(data or b"" for _, data, _ in steps(dialect, parse(f"[[{script}]]"), "m", 12))


def read_anthropic(pieces: list[bytes]) -> Partial:
    reader, lines, partial = AnthropicReader(asking("x"), ToolNames([])), Lines(), Partial()
    for payload in (payload for piece in pieces for payload in lines.feed(piece)):
        for event in reader.read(payload):
            partial.add(event)
    assert reader.done
    return partial


def read_openai(pieces: list[bytes]) -> Partial:
    reader, lines, partial = OpenAIReader(Vendor("OpenAI", "X"), asking("x"), ToolNames([])), Lines(), Partial()
    for payload in (payload for piece in pieces for payload in lines.feed(piece)):
        for event in reader.read(payload):
            partial.add(event)
    for event in reader.end():
        partial.add(event)
    return partial


READERS: dict[str, tuple[Anthropic | OpenAI, Callable[[list[bytes]], Partial]]] = {
    "anthropic": (Anthropic(), read_anthropic),
    "openai": (OpenAI(), read_openai),
}


@pytest.mark.parametrize("vendor", READERS)
@pytest.mark.parametrize("ends", ["", " crlf"])
def test_every_single_cut_gives_the_same_message(vendor: str, ends: str) -> None:
    dialect, read = READERS[vendor]
    stream = recording(dialect, SCRIPT + ends)
    whole = read([stream])
    assert [block["type"] for block in whole.content() if block["type"] != "hologram"] == ["thinking", "text", "tool_use", "tool_use"]
    for cut in range(1, len(stream)):
        again = read([stream[:cut], stream[cut:]])
        assert (again.content(), again.usage, again.stop_reason) == (whole.content(), whole.usage, whole.stop_reason)


@pytest.mark.parametrize("vendor", READERS)
def test_random_cuts_give_the_same_message(vendor: str) -> None:
    dialect, read = READERS[vendor]
    stream = recording(dialect, SCRIPT)
    whole = read([stream]).content()
    dice = random.Random(7)
    for _ in range(200):
        cuts = sorted(dice.sample(range(1, len(stream)), dice.randint(1, 60)))
        pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert read(pieces).content() == whole
    assert read([stream[at : at + 1] for at in range(len(stream))]).content() == whole


def test_a_last_line_without_its_end_counts() -> None:
    lines = Lines()
    assert lines.feed(b'data: {"a":1}\ndata: {"b"') == [b'{"a":1}']
    assert lines.feed(b":2}") == []
    assert lines.end() == [b'{"b":2}']


def test_a_line_that_never_ends_is_refused_before_it_fills_the_memory() -> None:
    lines = Lines()
    for _ in range(32):
        lines.feed(b"x" * 1024 * 1024)
    with pytest.raises(ValueError, match="does not end"):
        lines.feed(b"x")


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (rb'"a\u0000b"', '"a\ufffdb"'),
        (rb'"\ud83d\ude00"', '"😀"'),
        (rb'"\ud83d"', '"\ufffd"'),
        (rb'"\ude00x"', '"\ufffdx"'),
        (rb'"\ud83d\ud83d\ude00"', '"\ufffd😀"'),
        (rb'"\u0041\ude00"', '"A\ufffd"'),
        (rb'"\u0000\ude00"', '"\ufffd\ufffd"'),
        (rb'"\\ud83d"', r'"\\ud83d"'),
        (rb'"\\\ud83d"', '"\\\\\ufffd"'),
    ],
)
def test_json_escapes_that_cannot_be_stored_become_replacement_characters(raw: bytes, clean: str) -> None:

    assert json.loads(clean_json(raw)) == json.loads(clean)


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b'"text"',
        b'{"type":"content_block_delta","index":5,"delta":{"type":"text_delta","text":"x"}}',
        b'{"type":"content_block_start","index":3,"content_block":{"type":"text","text":""}}',
        b'{"type":"content_block_start"}',
        b'{"no":"type"}',
    ],
)
def test_what_is_not_the_protocol_of_anthropic_is_refused(payload: bytes) -> None:
    reader = AnthropicReader(asking("x"), ToolNames([]))
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        reader.read(payload)


def test_pieces_of_calls_without_index_or_id_find_their_call() -> None:
    chunks = [
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"name":"a","arguments":"{\\"x\\":1}"}}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"name":"b","arguments":{"y":2}}}]}}]}',
        b'{"choices":[{"delta":{},"finish_reason":"stop"}]}',
    ]
    answer = read_openai([b"data: " + chunk + b"\n\n" for chunk in chunks])
    assert [(block["name"], block["input"]) for block in answer.content()] == [("a", {"x": 1}), ("b", {"y": 2})]
    assert len({block["id"] for block in answer.content()}) == 2
    assert answer.stop_reason == "tool_use"


def test_text_after_a_call_is_a_block_of_its_own_but_a_line_end_is_not() -> None:
    chunks = [
        b'{"choices":[{"delta":{"content":"before"}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"a","arguments":"{}"}}]}}]}',
        b'{"choices":[{"delta":{"content":"\\n"}}]}',
        b'{"choices":[{"delta":{"content":"after"}}]}',
        b'{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}',
    ]
    answer = read_openai([b"data: " + chunk + b"\n\n" for chunk in chunks])
    assert [block["type"] for block in answer.content()] == ["text", "tool_use", "text"]
    assert answer.content()[2]["text"] == "after"
    assert answer.stop_reason == "tool_use"
