"""What of a conversation the provider is sent."""

from typing import Any

import pytest

from threads import history
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


def test_the_system_prompt_is_what_the_send_says_else_ours_with_the_persons_wishes() -> None:
    assert history.system_prompt("Be brief.", "Given") == "Given"
    assert "Be brief." in history.system_prompt("Be brief.", None)
    assert "keep to this" not in history.system_prompt("  ", None)
