"""Blocks and events: what is folded together is what was said, however it was cut."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from threads.blocks import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Delta,
    Event,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    Partial,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    TurnDone,
    TurnError,
    clean_text,
    dump_event,
    load_event,
    text_of,
)
from threads.replies.journal import Line

ALPHABET = "ab \n`*_#|<>&\"'éß漢字🙂\u200d\u0301\u2028"
EVENTS: list[Event] = [
    MessageStart({"id": "msg_1", "model": "m", "usage": {"input_tokens": 3}}),
    BlockStart(0, {"type": "text", "text": "", "unknown": {"kept": [1]}}),
    BlockDelta(0, TextDelta('é\u2028🙂 "quoted" \\ /')),
    BlockDelta(1, ThinkingDelta("hm")),
    BlockDelta(1, SignatureDelta("c2ln")),
    BlockDelta(2, InputJsonDelta('{"a": ')),
    BlockStop(0),
    MessageDelta({"stop_reason": "end_turn"}, {"output_tokens": 4}),
    MessageStop(),
    TurnError("It failed.", status=529, kind="overloaded"),
    TurnDone(1, False, cost_micros=12, seq=4, thread_id="x"),
]


DELTAS: dict[str, Callable[[str], Delta]] = {"text": TextDelta, "thinking": ThinkingDelta, "tool_use": InputJsonDelta}


def sayings(dice: random.Random, length: int) -> str:
    return "".join(dice.choice(ALPHABET) for _ in range(length))


def answer(dice: random.Random) -> tuple[list[Event], list[dict[str, Any]]]:
    """A stream of blocks of all kinds cut anywhere, and the content it stands for."""
    events: list[Event] = [MessageStart({"id": "msg_1", "model": "m", "usage": {"input_tokens": 9, "output_tokens": 1}})]
    content: list[dict[str, Any]] = []
    for index in range(dice.randint(1, 5)):
        kind = dice.choice(["text", "thinking", "tool_use"])
        whole = sayings(dice, dice.randint(1, 60))
        arguments = {"word": whole}
        said = json.dumps(arguments) if kind == "tool_use" else whole
        start: dict[str, Any] = (
            {"type": "tool_use", "id": f"toolu_{index}", "name": "find", "input": {}} if kind == "tool_use" else {"type": kind, kind: ""}
        )
        events.append(BlockStart(index, start))
        while said:
            size = dice.randint(1, 9)
            piece, said = said[:size], said[size:]
            events.append(BlockDelta(index, DELTAS[kind](piece)))
        events.append(BlockStop(index))
        content.append(start | ({"input": arguments} if kind == "tool_use" else {kind: whole}))
    return [*events, MessageDelta({"stop_reason": "end_turn"}, {"output_tokens": 7}), MessageStop()], content


def folded(events: Sequence[Any]) -> Partial:
    partial = Partial()
    for event in events:
        partial.add(event)
    return partial


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives_the_journal_and_names_its_type_first(event: Event) -> None:
    payload = dump_event(event)
    assert payload.startswith('{"type":"')
    assert "\\u" not in payload, "raw UTF-8"
    assert load_event(payload) == event


@pytest.mark.parametrize("seed", range(60))
def test_a_message_is_the_same_however_its_stream_was_cut(seed: int) -> None:
    events, content = answer(random.Random(seed))
    assert folded(events).content() == content


@pytest.mark.parametrize("seed", range(60))
def test_looking_at_a_message_while_it_grows_does_not_change_it(seed: int) -> None:
    events, content = answer(random.Random(seed))
    watched = Partial()
    for event in events:
        watched.add(event)
        watched.content()
    assert watched.content() == content
    assert (watched.stop_reason, watched.usage) == ("end_turn", {"input_tokens": 9, "output_tokens": 7})


@pytest.mark.parametrize("seed", range(60))
def test_the_journal_merges_what_has_arrived_and_loses_nothing_of_it(seed: int) -> None:
    dice = random.Random(seed)
    events, content = answer(dice)
    line = Line(None, 0, 1)  # type: ignore[arg-type]
    written: list[str] = []
    for event in events:
        # The adapter's events are its own: what the journal merges into is what it was given.
        line.add(load_event(dump_event(event)))  # type: ignore[arg-type]
        if dice.random() < 0.2:  # a tick
            written += [dump_event(one) for one in line.pending]
            line.pending = []
    written += [dump_event(one) for one in line.pending]
    assert len(written) <= len(events)
    assert folded([load_event(one) for one in written]).content() == content


def test_a_tool_call_that_was_cut_is_left_out_and_one_that_is_no_json_is_kept_as_it_came() -> None:
    start = BlockStart(0, {"type": "tool_use", "id": "t", "name": "find", "input": {}})
    cut = folded([start, BlockDelta(0, InputJsonDelta('{"a": '))])
    assert cut.content() == []
    assert cut.shown
    broken = folded([start, BlockDelta(0, InputJsonDelta('{"a": ')), BlockStop(0)])
    assert broken.content() == [{"type": "tool_use", "id": "t", "name": "find", "input": {}, "invalid_input": '{"a": '}]


def test_an_empty_text_block_is_no_content_and_nothing_is_shown_before_the_first_word() -> None:
    partial = folded([MessageStart({"id": "m"}), BlockStart(0, {"type": "text", "text": ""})])
    assert (partial.shown, partial.content()) == (False, [])
    partial.add(BlockDelta(0, TextDelta("a")))
    assert partial.shown


def test_a_signature_rides_along_with_its_thinking() -> None:
    events = [BlockStart(0, {"type": "thinking", "thinking": ""}), BlockDelta(0, ThinkingDelta("hm"))]
    whole = folded([*events, BlockDelta(0, SignatureDelta("ab")), BlockDelta(0, SignatureDelta("cd")), BlockStop(0)])
    assert whole.content() == [{"type": "thinking", "thinking": "hm", "signature": "abcd"}]


def test_later_usage_replaces_earlier_and_a_missing_figure_changes_nothing() -> None:
    partial = folded(
        [MessageStart({"usage": {"input_tokens": 5, "output_tokens": 1}}), MessageDelta({}, {"output_tokens": 3, "input_tokens": None})]
    )
    assert partial.usage == {"input_tokens": 5, "output_tokens": 3}


def test_a_block_out_of_order_is_an_error_and_not_a_wrong_message() -> None:
    with pytest.raises(ValueError, match="block 3"):
        folded([BlockStart(3, {"type": "text", "text": ""})])


@pytest.mark.parametrize("bad", ["\0", "\ud800", "\udc00\ud800"])
def test_what_a_database_cannot_hold_becomes_the_replacement_character(bad: str) -> None:
    cleaned = clean_text(f"a{bad}é")
    cleaned.encode()
    assert "\0" not in cleaned
    assert cleaned.startswith("a\ufffd")
    assert cleaned.endswith("é")


def test_clean_text_leaves_whole_text_alone_and_joins_a_pair_of_surrogates() -> None:
    assert clean_text("née 🙂\n\t") == "née 🙂\n\t"
    assert clean_text("\ud83d\ude42") == "🙂"


def test_the_text_of_a_message_is_its_text_blocks() -> None:
    blocks = [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "a"}, {"type": "tool_use"}, {"type": "text", "text": "b"}]
    assert text_of(blocks) == "a\n\nb"
