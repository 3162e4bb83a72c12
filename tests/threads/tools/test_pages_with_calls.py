"""Pages that show calls: one answer with its cards in between, the same while it is written, while it waits, and afterwards."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.threads.tools.harness import Model, answer, ask, call, events, executing, tools
from threads.blocks import dump_json
from threads.live import cards
from threads.live.growing import Growing, Place
from threads.models import Message, Thread, Turn
from tools.registry import Use

ClientOf = Callable[[User], Client]


async def double(arguments: dict[str, Any], use: Use) -> Any:
    return arguments["value"] * 2


def page(client: Client, thread: Thread) -> str:
    return client.get(f"/c/{thread.pk}").content.decode()


@pytest.mark.django_db(transaction=True)
def test_an_answer_with_calls_is_one_article_with_a_card_for_each(owner: User, thread: Thread, client_of: ClientOf) -> None:
    turn = ask(owner, thread)
    with tools(double=(double, {})):
        answer(
            Model(
                ["Let me see.", call("qlaud_search_tools", {"intent": "double"})],
                ["Now.", executing(("double", {"value": 21}))],
                ["It is 42."],
            )
        )
    html = page(client_of(owner), thread)
    assert html.count('data-role="assistant"') == 1
    assert html.count('data-role="user"') == 2, "the question, and what the page draws one with"
    assert html.count('class="tool-call"') == 2
    assert html.count('data-state="done"') == 2
    places = [html.index(text) for text in ("Let me see.", "Looking for tools", "Now.", "It is 42.")]
    assert places == sorted(places)
    assert 'data-seq="6"' in html
    copied = client_of(owner).get(f"/c/{thread.pk}/text/6").content.decode()
    assert copied == "Let me see.\n\nNow.\n\nIt is 42."
    assert Message.objects.filter(turn=turn).count() == 6


@pytest.mark.django_db(transaction=True)
def test_a_page_of_a_turn_that_waits_shows_the_question_to_the_person(owner: User, thread: Thread, client_of: ClientOf) -> None:
    with tools(write=(double, {"writes": True})):
        turn = ask(owner, thread)
        answer(Model(["I would.", executing(("write", {"value": 1}))], ["Done."]))
        html = page(client_of(owner), thread)
    (required,) = [event for event in events(turn) if event["type"] == "qlaud.approval_required"]
    assert f'data-approval="{required["approval_id"]}"' in html
    assert required["token"] in html
    assert 'data-status="waiting"' in html
    assert 'data-state="waiting"' in html


def told(*payloads: dict[str, Any]) -> list[str]:
    return [dump_json(payload) for payload in payloads]


USE: list[dict[str, Any]] = [
    {"type": "message_start", "message": {}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "calculator", "input": {}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"expression":"6*7"}'}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
]
START = {"type": "qlaud.tool_dispatch_start", "iteration": 1, "tool_use_id": "toolu_1", "name": "calculator"}
DONE = {**START, "type": "qlaud.tool_dispatch_done", "is_error": False, "output": 42, "ms": 1200}
NEXT: list[dict[str, Any]] = [
    {"type": "qlaud.iteration_start", "iteration": 2},
    {"type": "message_start", "message": {}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "It is 42."}},
]


def test_a_card_is_drawn_once_and_then_only_when_something_was_said_of_its_call() -> None:
    growing = Growing(Turn().pk, 0)
    growing.feed(told(*USE))
    drawn, place = growing.step(Place())
    assert drawn.count('data-state="asked"') == 1
    assert growing.step(place) == ("", place)
    growing.feed(told(START))
    running, place = growing.step(place)
    assert f'hx-target="#{cards.dom_id(growing.turn_id, "toolu_1")}"' in running
    assert 'data-state="running"' in running
    growing.feed(told(DONE, *NEXT))
    ended, place = growing.step(place)
    assert ended.count('data-state="done"') == 1
    assert "It is 42." in ended
    assert growing.step(place) == ("", place)
    late, _ = growing.step(Place())
    assert late.count('class="tool-call"') == 1
    assert 'data-state="done"' in late
    assert growing.place == place
