"""History for each provider: one chat can go from model to model on any turn."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.threads.scripted import MODEL, asking, assistant, user
from threads.providers import anthropic, openai, openai_history
from threads.providers.history import INTERRUPTED, ToolNames, prepared

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
PDF = {"type": "document", "title": "a.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}
PLAIN = {"type": "document", "title": "notes", "source": {"type": "text", "media_type": "text/plain", "data": "some notes"}}
CALL = {"type": "tool_use", "id": "call:1", "name": "math/add", "input": {"a": 1}, "invalid_input": "x"}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "sig"}
UNSIGNED = {"type": "thinking", "thinking": "hm", "signature": ""}


def result(content: Any = "3", *, id_: str = "call:1", **rest: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **rest}


def by_user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def for_anthropic(*messages: dict[str, Any], vision: bool = True) -> list[dict[str, Any]]:
    return anthropic.translate(list(messages), replace(MODEL, vision=vision), ToolNames([]))


def for_openai(*messages: dict[str, Any] | str, vision: bool = True, **rest: Any) -> list[dict[str, Any]]:
    return openai_history.translate(asking(*messages, model=replace(MODEL, vision=vision), **rest), ToolNames([]))


def test_anthropic_gets_back_what_it_signed_and_nothing_else_was_thought() -> None:
    sent = for_anthropic(user("q"), assistant(SIGNED, UNSIGNED, {"type": "redacted_thinking", "data": "d"}, "a"), user("q2"))
    assert [block["type"] for block in sent[1]["content"]] == ["thinking", "redacted_thinking", "text"]


def test_openai_gets_no_thoughts() -> None:
    assert for_openai(user("q"), assistant(SIGNED, "a"), user("q2")) == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "q2"},
    ]


def test_tool_calls_go_to_anthropic_with_names_and_ids_it_allows() -> None:
    sent = for_anthropic(user("q"), assistant("let me see", CALL), by_user(result()), assistant("3"), user("thanks"))
    assert sent[1]["content"][1] == {"type": "tool_use", "id": "call_1", "name": "math__add", "input": {"a": 1}}
    assert sent[2]["content"] == [{"type": "tool_result", "tool_use_id": "call_1", "content": "3"}]


def test_tool_calls_go_to_openai_as_messages_of_their_own() -> None:
    failed = result([{"type": "text", "text": "boom"}], is_error=True)
    sent = for_openai(user("q"), assistant("let me see", CALL), by_user(failed, {"type": "text", "text": "and?"}))
    assert sent[1]["tool_calls"][0]["function"] == {"name": "math__add", "arguments": '{"a": 1}'}
    assert sent[2] == {"role": "tool", "tool_call_id": "call:1", "content": "Error: boom"}
    assert sent[3] == {"role": "user", "content": "and?"}


def test_an_image_that_a_tool_returned_reaches_openai_behind_the_result() -> None:
    sent = for_openai(user("q"), assistant(CALL), by_user(result([{"type": "text", "text": "a chart"}, IMAGE])))
    assert sent[-2]["content"] == "a chart"
    assert sent[-1]["content"][0]["image_url"]["url"] == "data:image/png;base64,iVBO"


def test_long_ids_of_other_providers_are_shortened_the_same_way_on_both_sides() -> None:
    long = "toolu_" + "x" * 60
    sent = for_openai(user("q"), assistant({**CALL, "id": long}), by_user(result(id_=long)))
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"]
    assert len(sent[2]["tool_call_id"]) <= 40


def test_images_and_documents_are_sent_to_models_that_read_them() -> None:
    message = by_user({"type": "text", "text": "look"}, IMAGE, PDF, PLAIN)
    assert for_anthropic(message)[0]["content"][1:] == [IMAGE, PDF, PLAIN]
    parts = for_openai(message)[0]["content"]
    assert parts[1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    assert parts[2]["file"] == {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}
    assert parts[3] == {"type": "text", "text": "notes:\n\nsome notes"}


def test_models_that_cannot_see_are_told_that_something_was_there() -> None:
    message = by_user({"type": "text", "text": "look"}, IMAGE)
    assert for_anthropic(message, vision=False)[0]["content"][1] == {"type": "text", "text": "[image: this model cannot read it]"}
    assert for_openai(message, vision=False) == [{"role": "user", "content": "look\n\n[image: this model cannot read it]"}]


def test_empty_messages_are_left_out_and_roles_take_turns() -> None:
    sent = prepared(
        [user("a"), assistant(""), user("b"), assistant("  \n"), assistant("c"), assistant("d"), user("e")], lambda block: block
    )
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert [block["text"] for block in sent[0]["content"]] == ["a", "b"]


def test_a_stopped_answer_is_kept_as_text() -> None:
    assert for_anthropic(user("q"), assistant("half an ans"), user("go on"))[1]["content"] == [{"type": "text", "text": "half an ans"}]


def test_a_call_whose_result_was_lost_gets_one_that_says_so() -> None:
    sent = for_anthropic(user("q"), assistant(CALL, {**CALL, "id": "two"}), by_user(result(), {"type": "text", "text": "next"}))
    kinds = [(block["type"], block.get("tool_use_id"), block.get("content")) for block in sent[2]["content"]]
    assert kinds == [("tool_result", "call_1", "3"), ("tool_result", "two", INTERRUPTED), ("text", None, None)]
    sent = for_openai(user("q"), assistant(CALL))
    assert sent[-1] == {"role": "tool", "tool_call_id": "call:1", "content": f"Error: {INTERRUPTED}"}


def test_a_result_without_its_call_becomes_text() -> None:
    sent = for_anthropic(by_user(result("42"), {"type": "text", "text": "q"}))
    assert [block["type"] for block in sent[0]["content"]] == ["text", "text"]
    assert "42" in sent[0]["content"][0]["text"]


def test_blocks_that_nobody_knows_stay_at_home() -> None:
    assert for_anthropic(user("q"), assistant({"type": "hologram"}, "a"), user("b"))[1]["content"] == [{"type": "text", "text": "a"}]
    assert for_openai(user("q"), assistant({"type": "hologram"}), user("b")) == [{"role": "user", "content": "q\n\nb"}]


def test_translating_changes_nothing_of_the_stored_history() -> None:
    history = [user("q"), assistant(SIGNED, "text  ", CALL), by_user(result(), IMAGE), assistant("partial ")]
    before = json.dumps(history)
    for_anthropic(*history)
    for_openai(*history)
    assert json.dumps(history) == before


def test_a_history_of_each_provider_survives_the_way_through_the_other() -> None:
    history = [user("q"), assistant("a", CALL), by_user(result()), assistant("b"), user("c")]
    spoken = [message["content"] for message in for_openai(*history) if message["role"] != "tool"]
    assert spoken == ["q", "a", "b", "c"]
    assert [len(message["content"]) for message in for_anthropic(*history)] == [1, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        (["math/add"], ["math__add"]),
        (["a.b c/ä"], ["a_b_c___"]),
        (["plain-name_1"], ["plain-name_1"]),
    ],
)
def test_tool_names_are_spelled_as_providers_allow(names: list[str], allowed: list[str]) -> None:
    tools = ToolNames({"name": name} for name in names)
    assert [tools.encode(name) for name in names] == allowed
    assert [tools.decode(name) for name in allowed] == names


def test_long_and_colliding_tool_names_stay_apart_and_come_back() -> None:
    names = ["s/" + "x" * 90, "s/" + "x" * 91, "a/b", "a__b"]
    tools = ToolNames({"name": name} for name in names)
    spelled = [tools.encode(name) for name in names]
    assert len(set(spelled)) == 4
    assert all(len(name) <= 64 for name in spelled)
    assert [tools.decode(name) for name in spelled] == names
    assert tools.decode("made_up") == "made_up"


def test_the_body_for_anthropic_holds_what_was_asked_for() -> None:
    tool = {"name": "math/add", "description": "Adds.", "input_schema": {"type": "object"}}
    request = asking("q", system="Be brief.", tools=[tool], options={"temperature": 0.5, "thinking": {"type": "adaptive"}, "secret": 1})
    body = anthropic.request_body(request, ToolNames([tool]))
    assert body["model"] == "scripted-upstream"
    assert body["tools"][0]["name"] == "math__add"
    assert (body["system"], body["temperature"], body["thinking"]) == ("Be brief.", 0.5, {"type": "adaptive"})
    assert "secret" not in body


def test_the_body_for_openai_says_the_same_in_its_own_words() -> None:
    tool = {"name": "math/add", "description": "Adds.", "input_schema": {"type": "object"}}
    options = {
        "stop_sequences": ["END"],
        "thinking": {"type": "enabled", "budget_tokens": 8000},
        "tool_choice": {"type": "tool", "name": "math/add", "disable_parallel_tool_use": True},
    }
    request = asking("q", system=[{"type": "text", "text": "Be brief."}], tools=[tool], options=options)
    body = openai.request_body(request, ToolNames([tool]))
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["stop"], body["reasoning_effort"], body["parallel_tool_calls"]) == (["END"], "medium", False)
    assert body["tool_choice"] == {"type": "function", "function": {"name": "math__add"}}
    assert openai.spelled(body, True, set())["max_completion_tokens"] == 500
    assert "max_tokens" not in openai.spelled(body, True, set())
    assert openai.spelled(body, False, {"stream_options"})["max_tokens"] == 500
    assert "stream_options" not in openai.spelled(body, False, {"stream_options"})


def test_nobody_gets_a_tier_or_a_cache_that_costs_more_than_they_are_charged() -> None:
    hour, brief = {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral"}
    text = {"type": "text", "text": "q", "cache_control": hour}
    paper = {"type": "document", "source": {}, "cache_control": hour}
    request = asking(by_user(text, paper), system=[text], options={"service_tier": "priority"})
    body = anthropic.request_body(request, ToolNames([]))
    assert [block["cache_control"] for block in [*body["system"], *body["messages"][0]["content"]]] == [brief] * 3
    assert text["cache_control"] == hour  # what is stored stays as it was sent
    assert "service_tier" not in openai.request_body(request, ToolNames([]))
    assert openai.request_body(asking("q", options={"service_tier": "flex"}), ToolNames([]))["service_tier"] == "flex"
