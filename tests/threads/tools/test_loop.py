"""The loop: what the model asks for is run, recorded and answered, and the model goes on with that."""

import asyncio
import json
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import User
from billing import audit
from billing.models import LedgerEntry
from tests.billing.spending import set_limit
from tests.threads.tools.harness import Effects, Model, answer, ask, call, events, executing, kinds, problems, rows, tools
from threads import chain
from threads.models import Message, Thread, ToolCall, Turn
from threads.outline import Kept, told_again
from tools.registry import Use
from tools.values import Outcome, ToolError

pytestmark = pytest.mark.django_db(transaction=True)


async def double(arguments: dict[str, Any], use: Use) -> Any:
    return arguments["value"] * 2


async def slow(arguments: dict[str, Any], use: Use) -> Any:
    await asyncio.sleep(30)


async def crash(arguments: dict[str, Any], use: Use) -> Any:
    raise RuntimeError("a secret")


async def fail(arguments: dict[str, Any], use: Use) -> Any:
    raise ToolError("The vendor says no.", "refused", 403)


async def much(arguments: dict[str, Any], use: Use) -> Any:
    return "x" * 200_000


def unexplained() -> list[str]:
    """Of money; the limits themselves are set by these tests."""
    return [str(one) for one in audit.prove().differences if not one.check.startswith("the limits")]


def sound(turn: Turn, model: Model) -> None:
    """What holds for every turn that called tools, however it ended."""
    turn.refresh_from_db()
    assert model.refused == []
    found = rows(turn)
    uses = [block["id"] for _, blocks in found for block in blocks if block["type"] == "tool_use"]
    results = [block["tool_use_id"] for _, blocks in found for block in blocks if block["type"] == "tool_result"]
    assert sorted(uses) == sorted(results), "each call has one result"
    seqs = list(Message.objects.filter(thread=turn.thread_id).order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))
    assert turn.thread.last_seq == len(seqs)
    assert not ToolCall.objects.filter(turn=turn, finished_at=None).exists()
    assert list(chain.check([turn.pk])) == []
    assert unexplained() == []
    assert events(turn)[-1]["type"] == "qlaud.done"
    said = [(event["type"], event["tool_use_id"]) for event in events(turn) if event["type"].startswith("qlaud.tool_")]
    assert len(said) == len(set(said)) == 2 * len(uses), "each call starts and ends once"


def test_a_call_is_run_and_the_model_goes_on_with_its_result(owner: User, thread: Thread) -> None:
    model = Model(["Let me see.", executing(("double", {"value": 21}))], ["It is 42."])
    turn = ask(owner, thread)
    with tools(double=(double, {})):
        answer(model)
    sound(turn, model)
    assert (turn.status, turn.iterations, turn.hit_max_iterations) == ("done", 2, False)
    _, first, results, last = rows(turn)
    assert [block["type"] for block in first[1]] == ["text", "tool_use"]
    ((result,),) = [results[1]]
    assert json.loads(result["content"]) == {"results": [{"tool": "double", "output": 42, "is_error": False}]}
    assert last == ("assistant", [{"type": "text", "text": "It is 42."}])
    assert kinds(turn) == ["tool_dispatch_start", "tool_dispatch_done", "iteration_start", "done"]
    done = events(turn)[-1]
    assert (done["iterations"], done["hit_max_iterations"], done["seq"], done["cost_micros"]) == (2, False, 4, turn.cost_micros)
    assert "incomplete" not in done
    outer, inner = ToolCall.objects.filter(turn=turn).order_by("position")
    assert (outer.name, outer.kind, outer.status, outer.verdict) == ("qlaud_multi_execute", "meta", "done", "allow")
    assert (inner.parent_id, inner.name, inner.kind, inner.result, inner.arguments) == (outer.pk, "double", "builtin", 42, {"value": 21})
    assert Thread.objects.get(pk=thread.pk).active_turn_id is None


def test_the_model_is_sent_its_calls_and_their_results_and_the_next_turn_too(owner: User, thread: Thread) -> None:
    model = Model([executing(("double", {"value": 1}))], [executing(("double", {"value": 2}))], ["Done."])
    with tools(double=(double, {})):
        turn = ask(owner, thread)
        answer(model)
        assert [len(request.messages) for request in model.requests] == [1, 3, 5]
        later = Model(["Yes?"])
        ask(owner, thread, "And now", options={})
        answer(later)
    sound(turn, model)
    assert [message["role"] for message in later.requests[0].messages] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert later.requests[0].tools == []
    assert problems(later.requests[0]) == []


@pytest.mark.parametrize(
    ("run", "fields", "asked", "kind"),
    [
        (double, {}, call("nowhere"), "unknown"),
        (double, {}, executing(("nowhere", {})), "unknown"),
        (double, {}, executing(("tried", {"value": "seven"})), "invalid"),
        (double, {}, executing(("tried", {"other": 1})), "invalid"),
        (double, {}, call("qlaud_search_tools", '{"intent": "half'), "invalid"),
        (double, {}, call("qlaud_multi_execute", {"calls": []}), "invalid"),
        (double, {}, executing(("tried", {"what": "x" * 300_000})), "invalid"),
        (double, {}, executing(("qlaud_multi_execute", {"calls": []})), "unknown"),
        (slow, {"seconds": 0.05}, executing(("tried", {})), "timeout"),
        (crash, {}, executing(("tried", {})), "crash"),
        (fail, {}, executing(("tried", {})), "refused"),
    ],
)
def test_whatever_goes_wrong_the_model_hears_of_it_and_goes_on(
    owner: User, thread: Thread, run: Any, fields: dict[str, Any], asked: dict[str, Any], kind: str
) -> None:
    model = Model([asked], ["I see."])
    turn = ask(owner, thread)
    with tools(tried=(run, fields)):
        answer(model)
    sound(turn, model)
    assert (turn.status, turn.iterations) == ("done", 2)
    failed = ToolCall.objects.filter(turn=turn).exclude(error_kind="").order_by("-position").first()
    assert failed is not None
    assert (failed.error_kind, failed.is_error, failed.status) == (kind, True, "failed")
    assert "a secret" not in json.dumps(events(turn))
    (done,) = [event for event in events(turn) if event["type"] == "qlaud.tool_dispatch_done"]
    assert done["is_error"] is True


def test_what_is_too_large_is_cut_with_a_note(owner: User, thread: Thread) -> None:
    model = Model([executing(("much", {}), ("much", {}))], ["So much."])
    turn = ask(owner, thread)
    with tools(much=(much, {})):
        answer(model)
    sound(turn, model)
    (result,) = rows(turn)[2][1]
    assert len(result["content"].encode()) <= 64 * 1024
    assert "cut" in result["content"][-100:]
    assert ToolCall.objects.filter(turn=turn, cut=True).count() == 3


def test_calls_of_one_message_run_side_by_side(owner: User, thread: Thread) -> None:
    meeting = asyncio.Barrier(3)

    async def meet(arguments: dict[str, Any], use: Use) -> Any:
        async with asyncio.timeout(20):
            await meeting.wait()
        return "met"

    model = Model([executing(("meet", {}), ("meet", {})), executing(("meet", {}))], ["All met."])
    turn = ask(owner, thread)
    with tools(meet=(meet, {"seconds": 30.0})):
        answer(model)
    sound(turn, model)
    assert list(ToolCall.objects.filter(turn=turn, parent=None).values_list("is_error", flat=True)) == [False, False]
    assert [event["type"] for event in events(turn) if "dispatch" in event["type"]][:2] == ["qlaud.tool_dispatch_start"] * 2


def test_ids_that_a_provider_uses_again_are_made_different(owner: User, thread: Thread) -> None:
    again = [call("qlaud_search_tools", {"intent": "double"}, "call_0") for _ in range(2)]
    model = Model(again, again, ["Enough."])
    turn = ask(owner, thread)
    answer(model)
    sound(turn, model)
    assert ToolCall.objects.filter(turn=turn).count() == 4


def test_after_eight_iterations_there_is_a_last_call_without_tools(owner: User, thread: Thread) -> None:
    model = Model(*([call("qlaud_search_tools", {"intent": "double"})] for _ in range(8)), ["Time to answer."])
    turn = ask(owner, thread)
    answer(model)
    sound(turn, model)
    assert (turn.status, turn.iterations, turn.hit_max_iterations) == ("done", 9, True)
    assert [request.options.get("tool_choice") for request in model.requests] == [None] * 8 + [{"type": "none"}]
    assert events(turn)[-1]["hit_max_iterations"] is True
    assert rows(turn)[-1] == ("assistant", [{"type": "text", "text": "Time to answer."}])


def test_a_model_that_goes_on_calling_is_told_that_it_is_enough_and_the_turn_ends(owner: User, thread: Thread) -> None:
    model = Model([call("qlaud_search_tools", {"intent": "double"}, "toolu_always-the-same")])
    turn = ask(owner, thread, options={"tools_mode": "dynamic", "max_iterations": 2})
    answer(model)
    sound(turn, model)
    assert (turn.status, turn.iterations, turn.hit_max_iterations) == ("done", 3, True)
    assert rows(turn)[-1][0] == "user"
    assert list(ToolCall.objects.filter(turn=turn).order_by("position").values_list("error_kind", flat=True)) == ["", "", "refused"]


@pytest.mark.parametrize(("name", "value"), [("MAX_TURN_TOOL_CALLS", 2), ("MAX_TURN_TOOL_BYTES", 10), ("MAX_TURN_TOOL_SECONDS", 0)])
def test_a_turn_has_limits_beside_its_iterations(owner: User, thread: Thread, settings: Settings, name: str, value: int) -> None:
    setattr(settings, name, value)
    model = Model([executing(("double", {"value": 1}), ("double", {"value": 2}), ("double", {"value": 3}))], ["So far."])
    turn = ask(owner, thread)
    with tools(double=(double, {})):
        answer(model)
    sound(turn, model)
    assert (turn.status, turn.iterations, turn.hit_max_iterations) == ("done", 2, True)
    if name == "MAX_TURN_TOOL_CALLS":
        inner = ToolCall.objects.filter(turn=turn).exclude(parent=None).order_by("position")
        assert [one.error_kind for one in inner] == ["", "", "refused"]


def test_when_the_money_ends_between_two_calls_the_turn_ends_with_what_there_is(owner: User, thread: Thread) -> None:
    set_limit(owner, 3000)

    async def spend(arguments: dict[str, Any], use: Use) -> Any:
        return "x" * 60_000

    model = Model(["Let me look.", executing(("spend", {}))], ["Never said."])
    turn = ask(owner, thread)
    with tools(spend=(spend, {})):
        answer(model)
    sound(turn, model)
    assert (turn.status, turn.error_kind, len(model.requests)) == ("interrupted", "billing_error", 1)
    error, done = events(turn)[-2:]
    assert (error["type"], error["status"], done["incomplete"]) == ("qlaud.error", 402, True)
    assert [role for role, _ in rows(turn)] == ["user", "assistant", "user", "assistant"]


def test_a_priced_tool_has_a_line_of_its_own_and_one_that_failed_costs_nothing(owner: User, thread: Thread) -> None:
    effects = Effects()

    async def search(arguments: dict[str, Any], use: Use) -> Any:
        effects.done.append("search")
        if len(effects.done) > 1:
            raise ToolError("Nothing found.")
        return "found"

    model = Model([executing(("search", {}))], [executing(("search", {}))], ["Found it."])
    turn = ask(owner, thread)
    with tools(search=(search, {"price_micros": 5000})):
        answer(model)
    sound(turn, model)
    (line,) = LedgerEntry.objects.filter(turn_id=turn.pk, kind="tool")
    (of_turn,) = LedgerEntry.objects.filter(turn_id=turn.pk, kind="turn")
    assert (line.cost_micros, line.model) == (5000, "search")
    assert turn.cost_micros == of_turn.cost_micros + 5000 == events(turn)[-1]["cost_micros"]
    assert Thread.objects.get(pk=thread.pk).cost_micros == turn.cost_micros
    assert list(ToolCall.objects.filter(turn=turn, name="search").order_by("position").values_list("cost_micros", flat=True)) == [5000, 0]


def test_what_a_tool_draws_is_stored_and_named_in_its_result(owner: User, thread: Thread) -> None:
    png = {"type": "image", "title": "chart.png", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}}

    async def draw(arguments: dict[str, Any], use: Use) -> Any:
        return Outcome("Drawn.", blocks=(png,))

    model = Model([executing(("draw", {}))], ["Look."])
    turn = ask(owner, thread)
    with tools(draw=(draw, {})):
        answer(model)
    sound(turn, model)
    (result,) = rows(turn)[2][1]
    text, image = result["content"]
    assert (text["type"], image["source"]["type"], image["title"]) == ("text", "file", "chart.png")
    sent = model.requests[1].messages[-1]["content"][0]["content"][1]
    assert sent == {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}}


def test_the_stream_is_told_again_after_its_journal_is_gone(owner: User, thread: Thread) -> None:
    model = Model(["One.", executing(("double", {"value": 1}))], ["Two.", call("nowhere")], ["Three."])
    turn = ask(owner, thread)
    with tools(double=(double, {})):
        answer(model)
    sound(turn, model)
    kept = Kept(list(turn.messages.filter(seq__gt=1).order_by("seq")), list(turn.tool_calls.order_by("position")))
    told = [json.loads(payload) for payload in told_again(turn, kept)]
    said = events(turn)
    assert [event["type"] for event in told] == [event["type"] for event in said]
    for before, after in zip(said, told, strict=True):
        if before["type"].startswith("qlaud.") or before.get("delta", {}).get("type") == "text_delta":
            assert {**after, "ms": 0} == {**before, "ms": 0}


def test_a_send_without_tools_knows_nothing_of_them(owner: User, thread: Thread) -> None:
    model = Model(["Hello."])
    turn = ask(owner, thread, options={})
    answer(model)
    sound(turn, model)
    assert model.requests[0].tools == []
    assert kinds(turn) == ["done"]
    assert (turn.status, turn.iterations) == ("done", 1)


def test_a_call_by_a_model_that_was_offered_nothing_is_answered_all_the_same(owner: User, thread: Thread) -> None:
    model = Model([call("calculator", {"expression": "1+1"})], ["Then not."])
    turn = ask(owner, thread, options={})
    answer(model)
    turn.refresh_from_db()
    assert (turn.status, turn.iterations) == ("done", 2)
    assert ToolCall.objects.get(turn=turn).error_kind == "unknown"
