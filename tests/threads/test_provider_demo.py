"""The demo model: everything can be tried without a key, and nobody takes it for an AI."""

import re
import time
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.threads.scripted import MODEL, asking, assistant, user
from tests.threads.scripted import told as events_told
from threads.blocks import BlockDelta, Partial
from threads.providers.base import Request
from threads.providers.demo import DemoProvider

LABEL = "**This is the demo model:**"
TOOLS: list[dict[str, Any]] = [
    {"name": "calculator", "input_schema": {"properties": {"expression": {"type": "string"}}, "required": ["expression"]}},
    {"name": "current_time", "input_schema": {"properties": {"timezone": {"type": "string"}}}},
    {"name": "search_conversations", "input_schema": {"properties": {"query": {"type": "string"}}, "required": ["query"]}},
]


@pytest.fixture(autouse=True)
def _no_delay(settings: Settings) -> None:
    settings.DEMO_DELAY_MS = 0


async def told(request: Request) -> Partial:
    partial = Partial()
    async for event in events_told(DemoProvider(), request):
        partial.add(event)
    return partial


async def text(*messages: dict[str, Any] | str) -> str:
    answer = await told(asking(*messages, max_tokens=4000))
    return str(answer.content()[0]["text"])


@pytest.mark.parametrize(
    ("question", "holds"),
    [
        ("Hello there", "You wrote “Hello there”"),
        ("Show me a table", "| Planet | Moons |"),
        ("write some Python code", "```python\n"),
        ("some maths please", "$$\n"),
        ("draw a mermaid diagram", "```mermaid\nflowchart"),
        ("a to-do list", "- [ ] "),
        ("use footnotes", "[^short]:"),
        ("count to 12", "1 2 3 4 5 6 7 8 9 10 11 12."),
        ("", "Hello!"),
    ],
)
async def test_the_answer_fits_the_question_and_says_that_it_is_a_demo(question: str, holds: str) -> None:
    answer = await text(question) if question else await text({"role": "user", "content": [{"type": "image", "source": {}}]})
    assert answer.startswith(LABEL)
    assert holds in answer


async def test_a_long_answer_has_about_six_hundred_words() -> None:
    assert 500 < len((await text("a long answer, please")).split()) < 800


async def test_it_streams_word_by_word_at_the_pace_that_is_set(settings: Settings) -> None:
    settings.DEMO_DELAY_MS = 10
    began = time.monotonic()
    deltas = [event async for event in events_told(DemoProvider(), asking("count to 30")) if isinstance(event, BlockDelta)]
    assert len(deltas) > 30
    assert time.monotonic() - began > 0.3
    assert all(len(delta.delta.text.split()) <= 1 for delta in deltas)  # type: ignore[union-attr]


@pytest.mark.parametrize("question", ["Hello", "a table", "count to 200", "a long essay"])
async def test_a_partial_answer_is_continued_to_the_letter_wherever_it_was_cut(question: str) -> None:
    whole = await text(question)
    for cut in range(1, len(whole), 37):
        rest = await text(question, assistant(whole[:cut]))
        assert whole[:cut] + rest == whole


async def test_another_models_partial_answer_is_not_mixed_up() -> None:
    assert (await text("Hello", assistant("Once upon"))).startswith(f"\n\n{LABEL}")


async def test_usage_is_counted_by_length() -> None:
    answer = await told(asking("count to 100"))
    assert answer.usage["output_tokens"] == -(-len(answer.content()[0]["text"]) // 4)
    longer = await told(asking("x" * 4000, assistant("ok"), "count to 100"))
    assert longer.usage["input_tokens"] > answer.usage["input_tokens"] + 900


async def test_a_limit_of_tokens_cuts_the_answer_and_says_so() -> None:
    answer = await told(asking("a long answer", max_tokens=10))
    assert len(answer.content()[0]["text"]) == 40
    assert answer.stop_reason == "max_tokens"


@pytest.mark.parametrize(
    ("question", "name", "arguments"),
    [
        ("What is 12*7?", "calculator", {"expression": "12*7"}),
        ("what's (3 + 4) / 2", "calculator", {"expression": "(3 + 4) / 2"}),
        ("What time is it?", "current_time", {"timezone": "UTC"}),
        ("Search my chats for blue whales.", "search_conversations", {"query": "blue whales"}),
    ],
)
async def test_it_really_calls_a_tool_that_fits_and_answers_with_the_result(question: str, name: str, arguments: dict[str, str]) -> None:
    first = await told(asking(question, tools=TOOLS))
    said, call = first.content()
    assert said["text"].startswith(LABEL)
    assert (call["name"], call["input"]) == (name, arguments)
    assert first.stop_reason == "tool_use"
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "the result"}]}
    second = await told(asking(question, {"role": "assistant", "content": first.content()}, result, tools=TOOLS))
    assert "the result" in second.content()[0]["text"]
    assert second.content()[0]["text"].startswith(LABEL)
    assert second.stop_reason == "end_turn"


async def test_without_a_fitting_tool_nothing_is_called() -> None:
    assert (await told(asking("What is 12*7?"))).stop_reason == "end_turn"
    assert (await told(asking("What is the weather?", tools=TOOLS))).stop_reason == "end_turn"


async def test_a_failed_tool_is_told_as_failed() -> None:
    call = {"type": "tool_use", "id": "t", "name": "calculator", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "division by zero"}], "is_error": True}
    answer = await text("What is 1/0?", assistant(call), {"role": "user", "content": [result]})
    assert "It failed: division by zero" in answer


async def test_titles_are_the_first_words_of_the_conversation() -> None:
    prompt = "user: how do I bake rye bread with seeds?\n\nassistant: **This is** …"
    answer = await told(asking(user(prompt), system="Write a title for this conversation: at most six words."))
    assert answer.content()[0]["text"] == "How do I bake rye bread"


async def test_reasoning_is_shown_when_asked_for() -> None:
    answer = await told(asking("think about it"))
    assert [block["type"] for block in answer.content()] == ["thinking", "text"]


async def test_the_same_history_gets_the_same_answer_and_another_turn_another() -> None:
    assert await text("Hello") == await text("Hello")
    assert await text("Hello") != await text("Hello", assistant("Hi"), "Hello")
    assert not re.search(r"\{|\bNone\b", await text("Hello"))
    assert MODEL.slug == (await told(asking("Hello"))).model


META: list[dict[str, Any]] = [{"name": name} for name in ("qlaud_search_tools", "qlaud_get_tool_schemas", "qlaud_multi_execute")]
TEAMS = '{"results":[{"tool":"linear-list-teams","output":[{"id":"T1","key":"ENG"}],"is_error":false}]}'
MADE = '{"results":[{"tool":"linear-create-issue","output":{"identifier":"ENG-5"},"is_error":false}]}'
REFUSED = '{"results":[{"tool":"linear-list-teams","output":"Linear is not connected.","is_error":true}]}'


def inner(answer: Partial) -> list[tuple[str, dict[str, Any]]]:
    """What is called through the meta-tool."""
    block = answer.content()[-1]
    if block["type"] != "tool_use":
        return []
    assert block["name"] == "qlaud_multi_execute"
    return [(call["tool"], call["args"]) for call in block["input"]["calls"]]


def called(*results: str) -> list[dict[str, Any]]:
    """Calls that were made and what they answered, as history."""
    history: list[dict[str, Any]] = []
    for number, result in enumerate(results):
        history.append(assistant({"type": "tool_use", "id": f"toolu_{number}", "name": "qlaud_multi_execute", "input": {}}))
        history.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": result}]})
    return history


@pytest.mark.parametrize(
    ("question", "tool", "arguments"),
    [
        ("What is 12×7?", "calculator", {"expression": "12*7"}),
        ("What time is it?", "current-time", {"timezone": "UTC"}),
        ("Search my chats for blue whales.", "search-conversations", {"query": "blue whales"}),
        ("Please fetch https://example.com/a?b=1", "fetch-page", {"url": "https://example.com/a?b=1"}),
        ("How is the weather in Zürich?", "weather", {"place": "Zürich"}),
        ('Use github-search with {"kind": "code", "query": "x"}', "github-search", {"kind": "code", "query": "x"}),
    ],
)
async def test_it_reaches_every_tool_through_the_meta_tools(question: str, tool: str, arguments: dict[str, Any]) -> None:
    assert inner(await told(asking(question, tools=META))) == [(tool, arguments)]
    again = await told(asking(question, *called('{"results":[{"tool":"x","output":"84","is_error":false}]}'), tools=META))
    assert inner(again) == []
    assert again.content()[0]["text"].endswith("The tool answered:\n\n84")


async def test_a_ticket_takes_two_calls_the_second_with_what_the_first_told() -> None:
    question = "Create a Linear ticket: Login fails"
    assert inner(await told(asking(question, tools=META))) == [("linear-list-teams", {})]
    second = await told(asking(question, *called(TEAMS), tools=META))
    assert inner(second) == [("linear-create-issue", {"team_id": "T1", "title": "Login fails"})]
    last = await told(asking(question, *called(TEAMS, MADE), tools=META))
    assert inner(last) == []
    assert "ENG-5" in last.content()[0]["text"]


async def test_an_errand_ends_where_a_call_failed_and_an_older_one_is_not_mixed_up() -> None:
    question = "Create a Linear ticket: Login fails"
    ended = await told(asking(question, *called(REFUSED), tools=META))
    assert inner(ended) == []
    assert "It failed: Linear is not connected." in ended.content()[0]["text"]
    later = await told(asking(question, *called(REFUSED), assistant("No."), question, tools=META))
    assert inner(later) == [("linear-list-teams", {})]
