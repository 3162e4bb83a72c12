"""A call of a tool as the page draws it, from whatever models, tools and servers made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.dom import parse
from threads import edits
from threads.live import cards, phrases
from threads.live.cards import Ask, Call, State
from threads.live.fields import fields_of, values_of
from threads.models import ToolCall

TURN = UUID(int=7)
SOON = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>\"'></pre><script>alert(2)</script>"


def drawn(state: State = State.DONE, name: str = "calculator", arguments: Any = None, **more: Any) -> str:
    return str(cards.draw(Call(TURN, "toolu_1", name, {"expression": "12*7"} if arguments is None else arguments, state, **more)))


def test_a_call_is_one_line_that_opens_to_arguments_and_result() -> None:
    html = drawn(output={"value": 84}, seconds=0.42)
    card = parse(html).all("div")[0]
    assert card["data-state"] == "done"
    assert "Calculator" in card.one("summary").text
    assert "12*7" in card.one("summary").text
    assert "0.4 s" in card.one("summary").text
    assert [pre.text for pre in card.all("pre")] == ['{\n  "expression": "12*7"\n}', '{\n  "value": 84\n}']


@pytest.mark.parametrize(
    ("state", "said"),
    [(State.RUNNING, "running"), (State.FAILED, "did not work"), (State.DENIED, "not allowed"), (State.ENDED, "not finished")],
)
def test_every_state_is_said_to_who_cannot_see_it(state: State, said: str) -> None:
    card = parse(drawn(state)).all("div")[0]
    assert said in card.one("summary").text
    assert said in card["data-say"]
    assert ('class="spinner"' in drawn(state)) == (state is State.RUNNING)


def test_what_ran_with_other_arguments_is_a_success_that_says_so() -> None:
    calls = {"calls": [{"tool": "desk/create_issue", "args": {"title": "a"}}]}
    results = '{"results":[{"tool":"desk/create_issue","output":"made","is_error":false}]}'
    html = drawn(name="qlaud_multi_execute", arguments=calls, output=edits.note({"title": "b\n\nc"}) + edits.ENDS + results)
    assert "You changed the arguments" in html
    assert "What went wrong" not in html
    sent, asked, came = (pre.text for pre in parse(html).all("pre"))
    assert ('"b\\n\\nc"' in sent, '"title": "a"' in asked, came) == (True, True, "made")
    spoofed = drawn(output=edits.note({"title": "b"}))
    assert "You changed the arguments" not in spoofed, "a tool cannot say it in our place"


def test_nothing_that_comes_from_outside_is_markup() -> None:
    ask = Ask(uuid4(), "t", SOON, name=HOSTILE, arguments={HOSTILE: HOSTILE}, message=HOSTILE)
    form = Ask(uuid4(), "t", SOON, "form", HOSTILE, None, HOSTILE, {"properties": {HOSTILE: {"title": HOSTILE, "enum": [HOSTILE]}}})
    picture = {"type": "document", "title": HOSTILE, "source": {"type": "file", "file_id": f"file_{uuid4().hex}"}}
    html = drawn(name=HOSTILE, arguments={"query": HOSTILE}, output=HOSTILE, pictures=[picture], asks=[ask, form])
    assert "<img" not in html
    assert "<script" not in html
    assert "onerror=alert(1)&gt;" in html or "onerror" in parse(html).text


def test_ids_of_calls_are_never_part_of_a_selector() -> None:
    made_up = cards.dom_id(TURN, "a, body > *")
    assert made_up.replace("-", "").isalnum()
    assert made_up != cards.dom_id(UUID(int=8), "a, body > *")


@pytest.mark.parametrize(
    "source",
    [
        {"type": "url", "url": "https://evil.example/x.png"},
        {"type": "base64", "media_type": "image/svg+xml", "data": "PHN2Zz4="},
        {"type": "file", "file_id": "../../admin"},
        {"type": "file", "file_id": "file_../../admin"},
        {"type": "file"},
    ],
)
def test_only_files_that_are_stored_here_are_shown(source: dict[str, Any]) -> None:
    html = drawn(pictures=[{"type": "image", "source": source}])
    assert "<img" not in html
    assert "evil" not in html


def test_pictures_are_shown_and_other_files_are_downloads() -> None:
    ids = [uuid4(), uuid4()]
    blocks = [
        {"type": kind, "title": name, "source": {"type": "file", "file_id": f"file_{one.hex}"}}
        for kind, name, one in (("image", "chart.svg", ids[0]), ("document", "table.csv", ids[1]))
    ]
    html = parse(drawn(pictures=blocks))
    assert html.one("img")["src"] == f"/c/files/{ids[0]}"
    assert [link["href"] for link in html.all("a")] == [f"/c/files/{ids[0]}", f"/c/files/{ids[1]}"]
    assert html.all("a")[1]["download"] == "table.csv"


def test_only_our_own_tool_leads_to_the_page_that_connects_an_account() -> None:
    def links(name: str, url: str) -> list[str]:
        return [link["href"] for link in parse(drawn(name=name, output={"connect_url": url})).all("a")]

    assert links("qlaud_manage_connections", "https://chat.example/connect/abc") == ["/connect/abc"]
    assert links("somebody/tool", "https://chat.example/connect/abc") == []
    for url in ("https://evil.example/x", "javascript:alert(1)", "//evil.example/connect/x/../y"[:22], "/admin/"):
        assert [one for one in links("qlaud_manage_connections", url) if not one.startswith("/connect/")] == []


def test_a_call_without_its_account_leads_to_the_connections() -> None:
    row = ToolCall(status="failed", error_kind="not_connected")
    block = {"id": "toolu_1", "name": "linear/create_issue", "input": {}}
    call = cards.of_block(TURN, block, {"content": "Not connected.", "is_error": True}, row)
    assert parse(str(cards.draw(call))).one("a")["href"] == "/settings/connections/?tool=linear%2Fcreate_issue"


def test_a_call_through_the_meta_tool_is_told_as_what_it_is() -> None:
    arguments = {"calls": [{"tool": "linear/create_issue", "args": {"title": "Fix it"}}]}
    one = parse(drawn(name="qlaud_multi_execute", arguments=arguments, output={"results": [{"output": "made", "is_error": False}]}))
    assert "Linear: create issue" in one.one("summary").text
    assert "Fix it" in one.one("summary").text
    assert "made" in one.text
    arguments["calls"].append({"tool": "calculator", "args": {}})
    two = parse(drawn(name="qlaud_multi_execute", arguments=arguments))
    assert "Using tools" in two.one("summary").text
    assert len(two.all("section")) == 2
    broken: Any
    for broken in ({"calls": "x"}, {"calls": [1, {"tool": 2}]}, [], None, "text"):
        assert phrases.inner_calls(broken) == []
        drawn(name="qlaud_multi_execute", arguments=broken, output={"results": "x"})


def test_long_results_are_cut_with_a_link_to_all_of_them() -> None:
    html = drawn(output="x" * 100_000)
    assert len(html) < 10_000
    assert parse(html).one("a")["href"] == f"/c/calls/{TURN}/toolu_1"


def test_what_a_block_and_its_row_say_becomes_the_state() -> None:
    block = {"id": "toolu_1", "name": "n", "input": {}}
    now = datetime.now(UTC)
    ran = ToolCall(status="running", started_at=now)

    def state(result: Any = None, row: Any = None, asks: Any = (), over: bool = False) -> State:
        return cards.of_block(TURN, block, result, row, asks, over).state

    assert state() is State.ASKED
    assert state(row=ran) is State.RUNNING
    assert state(asks=[Ask(uuid4(), "t", SOON)]) is State.WAITING
    assert state(over=True) is State.ENDED
    assert state({"content": "84"}) is State.DONE
    assert state({"content": "no", "is_error": True}) is State.FAILED
    assert state({"content": "no", "is_error": True}, ToolCall(error_kind="denied")) is State.DENIED
    done = ToolCall(status="done", started_at=now, finished_at=now + timedelta(seconds=2))
    assert cards.of_block(TURN, block, {"content": '{"a": 1}'}, done).seconds == 2
    assert cards.output_of('{"a": 1}') == {"a": 1}
    assert cards.output_of("{not json") == "{not json"


def test_an_approval_shows_the_exact_arguments_and_four_ways_to_answer() -> None:
    ask = Ask(uuid4(), "the-token", SOON, name="linear/create_issue", arguments={"title": "Fix it"}, changed=True)
    html = parse(drawn(State.WAITING, asks=[ask]))
    assert [(one["name"], one["value"], one["formaction"]) for one in html.all("button")] == [
        (decision, "the-token", f"/c/approvals/{ask.id}/decide") for decision in ("once", "chat", "deny")
    ]
    assert html.all("a")[-1]["href"] == f"/c/approvals/{ask.id}"
    assert "Fix it" in html.all("pre")[-1].text
    assert "otherwise than when you allowed it" in html.text


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Your name", "description": "As people say it."},
        "count": {"type": "integer", "default": 3},
        "share": {"type": "number"},
        "team": {"type": "string", "enum": ["a", "b"], "enumNames": ["Team A", "Team B"]},
        "sure": {"type": "boolean", "default": True},
        "mail": {"type": "string", "format": "email"},
        "token": {"type": "string"},
    },
    "required": ["name", "team"],
}


def test_a_form_has_an_input_for_every_property_and_reads_it_back() -> None:
    kinds = {field.name: field.kind for field in fields_of(SCHEMA)}
    assert kinds == {
        "name": "text", "count": "number", "share": "number", "team": "select", "sure": "checkbox", "mail": "email", "token": "text",
    }  # fmt: skip
    html = drawn(State.WAITING, asks=[Ask(uuid4(), "the-token", SOON, "form", "linear", None, "Which?", SCHEMA)])
    names = {one["name"] for one in (*parse(html).all("input"), *parse(html).all("select"))}
    assert names == {"token", *(f"field.{name}" for name in SCHEMA["properties"])}, "no property takes the place of the token"
    posted = {"token": "the-token", "field.name": " Ada ", "field.count": "5", "field.share": "0.5", "field.team": "b", "field.token": "x"}
    assert values_of(SCHEMA, posted) == {"name": "Ada", "count": 5, "share": 0.5, "team": "b", "sure": False, "token": "x"}


@pytest.mark.parametrize(
    ("posted", "said"),
    [
        ({"field.team": "a"}, "“Your name” is needed"),
        ({"field.name": "A", "field.team": "a", "field.count": "1.5"}, "whole number"),
        ({"field.name": "A", "field.team": "a", "field.share": "much"}, "is a number"),
    ],
)
def test_what_does_not_fit_a_form_is_said(posted: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        values_of(SCHEMA, posted)
