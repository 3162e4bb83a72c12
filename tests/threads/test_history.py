"""What of a conversation the provider is sent."""

import random
from typing import Any

import pytest

from threads import history
from threads.compaction import HistoryRow, cutoff
from threads.providers.base import ModelInfo


def info(window: int) -> ModelInfo:
    return ModelInfo("m", "M", "demo", "m", context_window=window, default_max_tokens=10, max_output_tokens=10, price={})


def text(words: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": words}]


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


def test_everything_that_fits_is_sent_in_its_order() -> None:
    rows = [("user", text("three")), ("assistant", text("two")), ("user", text("one"))]
    assert [message["content"][0]["text"] for message in history.build(rows, info(1000), 10)] == ["one", "two", "three"]


@pytest.mark.parametrize("window", range(20, 400, 7))
def test_a_full_window_drops_the_oldest_and_begins_with_a_question(window: int) -> None:
    rows = [("user" if number % 2 == 0 else "assistant", text(f"message {number} {'x' * 40}")) for number in range(40)]
    sent = history.build(rows, info(window), 10)
    assert sent[-1]["content"][0]["text"].startswith("message 0 "), "the newest question is always kept"
    assert sent[0]["role"] == "user"
    assert roles(sent) == (["user", "assistant"] * 40)[: len(sent)]
    assert len(sent) == 1 or sum(len(str(message["content"])) for message in sent) <= max(window - 10, window // 4) * 3 + 100


def test_a_question_larger_than_the_window_is_sent_alone() -> None:
    assert roles(history.build([("user", text("x" * 9000)), ("assistant", text("a")), ("user", text("b"))], info(100), 10)) == ["user"]


def test_an_answer_that_never_came_is_left_out() -> None:
    assert roles(history.build([("user", text("b")), ("assistant", []), ("user", text("a"))], info(1000), 10)) == ["user", "user"]


def test_a_tool_call_without_its_result_is_left_out_and_one_with_it_stays() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "find", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "5"}
    cut = history.build([("user", text("b")), ("assistant", [*text("a"), call]), ("user", text("q"))], info(1000), 10)
    assert cut[1]["content"] == text("a")
    whole = history.build([("user", [result]), ("assistant", [call]), ("user", text("q"))], info(1000), 10)
    assert whole[1]["content"] == [call]


def dialogue(dice: random.Random) -> list[HistoryRow]:
    """Turns as providers make them: thoughts that are signed, tools called one by one or together, words in between."""
    rows: list[HistoryRow] = []
    for turn in range(dice.randint(1, 12)):
        rows.append(HistoryRow(len(rows) + 1, "user", text("q" * dice.randint(1, 300))))
        for loop in range(dice.choice((0, 0, 1, 2, 5))):
            names = [f"t{turn}-{loop}-{place}" for place in range(dice.randint(1, 3))]
            thought = {"type": "thinking", "thinking": "x" * dice.randint(1, 300), "signature": f"s{turn}-{loop}"}
            calls = [{"type": "tool_use", "id": name, "name": "find", "input": {"q": "x" * dice.randint(0, 200)}} for name in names]
            rows.append(HistoryRow(len(rows) + 1, "assistant", [thought, *text("let me see"), *calls]))
            results = [{"type": "tool_result", "tool_use_id": name, "content": "x" * dice.randint(1, 500)} for name in names]
            rows.append(HistoryRow(len(rows) + 1, "user", results))
        rows.append(HistoryRow(len(rows) + 1, "assistant", text("a" * dice.randint(1, 300))))
    return rows[:-1]  # the newest is being answered: behind its question or what its tools brought


@pytest.mark.parametrize("seed", range(400))
def test_whatever_the_dialogue_and_the_window_no_call_is_parted_from_its_result_nor_a_thought_from_what_followed(seed: int) -> None:
    dice = random.Random(seed)
    rows = dialogue(dice)
    window = dice.randint(20, 3000)
    cut = cutoff(rows, dice.randint(50, 6000)) or 0
    left = [row for row in rows if row.seq > cut]
    sent = history.build([(row.role, row.content) for row in reversed(left)], info(window), 10)
    assert history.begins_turn(sent[0]["role"], sent[0]["content"])
    assert sent == [{"role": row.role, "content": row.content} for row in rows][-len(sent) :], "whole rows, up to the newest"
    used = [block["id"] for message in sent for block in message["content"] if block["type"] == "tool_use"]
    results = [block["tool_use_id"] for message in sent for block in message["content"] if block["type"] == "tool_result"]
    assert used == results
    if cut:
        assert history.begins_turn(left[0].role, left[0].content)


def test_the_system_prompt_is_what_the_send_says_else_ours_with_the_persons_wishes() -> None:
    assert history.system_prompt("Be brief.", "Given") == "Given"
    assert "Be brief." in history.system_prompt("Be brief.", None)
    assert "keep to this" not in history.system_prompt("  ", None)
