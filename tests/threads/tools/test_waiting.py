"""Calls that wait for a person: the turn leaves its process, and any process goes on with it when somebody has decided."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone

from accounts import keys
from accounts.models import User
from tests.threads.tools.harness import Effects, Model, answer, ask, call, events, executing, kinds, process, rows, tools
from tests.threads.tools.test_loop import sound
from threads import actions, approvals, cleaning
from threads.models import Approval, Thread, ToolCall, Turn, TurnEvent
from threads.refusals import Refused
from tools.models import ToolRule
from tools.registry import Use
from tools.values import Answer, Question

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def effects() -> Iterator[Effects]:
    done = Effects()

    async def write(arguments: dict[str, Any], use: Use) -> Any:
        done.done.append(arguments["what"])
        return f"wrote {arguments['what']}"

    async def read(arguments: dict[str, Any], use: Use) -> Any:
        return "read"

    with tools(write=(write, {"writes": True}), read=(read, {})):
        yield done


def writing(*whats: str) -> dict[str, Any]:
    return executing(*(("write", {"what": what}) for what in whats))


def waiting(owner: User, thread: Thread, model: Model) -> Turn:
    turn = ask(owner, thread)
    answer(model)
    turn.refresh_from_db()
    assert turn.status == "waiting"
    return turn


def open_of(turn: Turn) -> list[Approval]:
    return list(Approval.objects.pending().filter(call__turn=turn).order_by("created_at", "id"))


def decided(owner: User, approval: Approval, decision: Any, arguments: dict[str, Any] | None = None) -> None:
    approvals.decide(owner, approval.pk, approvals.token_of(approval), decision, arguments)


def refusal(*given: Any, **more: Any) -> int:
    with pytest.raises(Refused) as refused:
        approvals.decide(*given, **more)
    return refused.value.status


def test_a_writing_call_waits_and_is_nobodys_turn_meanwhile(owner: User, thread: Thread, effects: Effects) -> None:
    turn = waiting(owner, thread, Model(["I would write.", writing("a")], ["Done."]))
    assert (turn.lease_until, turn.waits, effects.done) == (None, 1, [])
    assert Thread.objects.get(pk=thread.pk).active_turn_id == turn.pk
    (approval,) = open_of(turn)
    (required,) = [event for event in events(turn) if event["type"] == "qlaud.approval_required"]
    assert (required["approval_id"], required["name"], required["arguments"]) == (str(approval.pk), "write", {"what": "a"})
    assert required["token"] == approvals.token_of(approval)
    later = ask(owner, thread, "And then")
    answer(Model(["Never."]))
    later.refresh_from_db()
    assert later.status == "queued", "what comes after it waits too"


def test_once_allowed_it_runs_in_another_process_and_counts_as_no_failed_attempt(owner: User, thread: Thread, effects: Effects) -> None:
    model = Model(["I would write.", writing("a")], ["Done."])
    turn = waiting(owner, thread, model)
    (approval,) = open_of(turn)
    decided(owner, approval, "once")
    answer(model)
    sound(turn, model)
    assert (turn.status, turn.attempts - turn.waits, effects.done) == ("done", 1, ["a"])
    assert kinds(turn) == [
        "approval_required",
        "tool_dispatch_start",
        "approval_resolved",
        "tool_dispatch_done",
        "iteration_start",
        "done",
    ]
    call_row = ToolCall.objects.get(turn=turn, name="write")
    assert (call_row.status, call_row.verdict, call_row.verdict_by) == ("done", "ask", f"approval {approval.pk}")
    assert [role for role, _ in rows(turn)] == ["user", "assistant", "user", "assistant"]
    assert turn.first_token_at is not None
    assert turn.first_token_at < approval.created_at


def test_denied_it_is_not_made_and_the_model_hears_why(owner: User, thread: Thread, effects: Effects) -> None:
    model = Model([writing("a")], ["Then not."])
    turn = waiting(owner, thread, model)
    decided(owner, open_of(turn)[0], "deny")
    answer(model)
    sound(turn, model)
    assert (turn.status, effects.done) == ("done", [])
    assert "did not allow" in json.dumps(rows(turn)[2][1])


def test_it_runs_with_the_arguments_as_they_were_edited_and_the_model_is_told(owner: User, thread: Thread, effects: Effects) -> None:
    model = Model([writing("a")], ["Done."])
    turn = waiting(owner, thread, model)
    decided(owner, open_of(turn)[0], "once", {"what": "b"})
    answer(model)
    sound(turn, model)
    assert effects.done == ["b"]
    assert '{"what":"b"}' in rows(turn)[2][1][0]["content"]
    assert ToolCall.objects.get(turn=turn, name="write").arguments == {"what": "b"}


def test_always_in_this_chat_asks_no_second_time(owner: User, thread: Thread, effects: Effects) -> None:
    model = Model([writing("a")], [writing("b")], ["Done."])
    turn = waiting(owner, thread, model)
    decided(owner, open_of(turn)[0], "chat")
    answer(model)
    sound(turn, model)
    assert effects.done == ["a", "b"]
    elsewhere = waiting(owner, actions.create_thread(owner, model="demo"), Model([writing("c")]))
    assert len(open_of(elsewhere)) == 1


def test_what_may_run_runs_while_the_rest_waits_and_each_decision_goes_on_at_once(owner: User, thread: Thread, effects: Effects) -> None:
    model = Model([executing(("read", {}), ("write", {"what": "a"}), ("write", {"what": "b"})), executing(("read", {}))], ["Done."])
    turn = waiting(owner, thread, model)
    assert ToolCall.objects.filter(turn=turn, name="read", status="done").count() == 2
    first, second = open_of(turn)
    decided(owner, second, "once")
    answer(model)
    turn.refresh_from_db()
    assert (turn.status, turn.waits, effects.done) == ("waiting", 2, ["b"])
    decided(owner, first, "once")
    answer(model)
    sound(turn, model)
    assert (turn.status, effects.done, turn.attempts - turn.waits) == ("done", ["b", "a"], 1)


def test_a_decision_is_for_its_owner_once_and_with_the_right_token(owner: User, stranger: User, thread: Thread, effects: Effects) -> None:
    turn = waiting(owner, thread, Model([writing("a", "b")], ["Done."]))
    first, second = open_of(turn)
    token = approvals.token_of(first)
    assert refusal(stranger, first.pk, token, "once") == 404
    assert refusal(owner, first.pk, approvals.token_of(second), "once") == 403
    assert refusal(owner, first.pk, token, "once", key=keys.mint(owner, "other")[0]) == 404
    decided(owner, first, "once")
    assert refusal(owner, first.pk, token, "once") == 409
    Approval.objects.filter(pk=second.pk).update(expires_at=timezone.now())
    assert refusal(owner, second.pk, approvals.token_of(second), "once") == 409


def test_unanswered_for_a_day_it_is_not_made(owner: User, thread: Thread, effects: Effects) -> None:
    model = Model([writing("a")], ["Nobody answered."])
    turn = waiting(owner, thread, model)
    (approval,) = open_of(turn)
    assert timedelta(hours=23, minutes=50) < approval.expires_at - timezone.now() <= timedelta(hours=24)
    assert approvals.expire() == 0
    Approval.objects.filter(pk=approval.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert approvals.expire() == 1
    answer(model)
    sound(turn, model)
    assert (turn.status, effects.done) == ("done", [])


def test_stop_ends_a_turn_that_waits(owner: User, thread: Thread, effects: Effects) -> None:
    model = Model(["I would write.", writing("a")], ["Never."])
    turn = waiting(owner, thread, model)
    actions.stop_turn(owner, turn)
    answer(model)
    sound(turn, model)
    assert (turn.status, effects.done, len(model.requests)) == ("stopped", [], 1)
    assert open_of(turn) == []
    assert [role for role, _ in rows(turn)] == ["user", "assistant", "user"]
    later = ask(owner, thread, "Something else")
    answer(after := Model(["Yes."]))
    later.refresh_from_db()
    assert (later.status, after.refused) == ("done", [])


def test_a_rule_against_it_that_came_meanwhile_wins(owner: User, thread: Thread, effects: Effects) -> None:
    model = Model([writing("a")], ["Then not."])
    turn = waiting(owner, thread, model)
    ToolRule.objects.create(user=None, pattern="wri*", verdict="deny")
    decided(owner, open_of(turn)[0], "once")
    answer(model)
    sound(turn, model)
    assert effects.done == []


def test_the_journal_of_a_turn_that_waits_moves_on_with_time(owner: User, thread: Thread, effects: Effects) -> None:
    model = Model(["I would write.", writing("a")], ["Done."])
    turn = waiting(owner, thread, model)
    before = [event["type"] for event in events(turn)]
    old = (turn.ring + 4) % 8  # type: ignore[operator]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE threads_turn SET ring = %s WHERE id = %s", [old, turn.pk])
        cursor.execute("UPDATE threads_turnevent SET ring = %s WHERE turn_id = %s", [old, turn.pk])
    assert old in cleaning.empty_rings()
    assert [event["type"] for event in events(turn)] == before
    assert turn.ring != old
    assert not TurnEvent.objects.filter(ring=old).exists()
    decided(owner, open_of(turn)[0], "once")
    answer(model)
    sound(turn, model)
    assert effects.done == ["a"]


def test_an_apps_own_tool_is_run_by_the_app(owner: User, thread: Thread) -> None:
    key = owner.api_keys.get(personal=True)
    own = [{"name": "where", "description": "Where the person is.", "input_schema": {"type": "object"}}]
    model = Model([call("where", {}, "toolu_where-are-you")], ["In Zürich."])
    turn = ask(owner, thread, options={"client_tools": own}, key=key)

    async def run() -> None:
        async with process(model) as one, asyncio.timeout(55):
            live = await one.take()
            assert live is not None
            assert live.task is not None
            result = {"latitude": 47.4}
            while not await sync_to_async(approvals.accept_result)(key, thread.pk, "toolu_where-are-you", result, False):
                await asyncio.sleep(0.02)
            live.loop.knock()
            await live.task

    asyncio.run(run())
    sound(turn, model)
    assert turn.status == "done"
    assert json.loads(rows(turn)[2][1][0]["content"]) == {"latitude": 47.4}
    assert not approvals.accept_result(key, thread.pk, "toolu_where-are-you", "late", False)


def test_a_form_that_a_tool_asks_for_is_filled_in_while_the_tool_waits(owner: User, thread: Thread) -> None:
    question = Question("Which city?", {"type": "object", "properties": {"city": {"type": "string"}}}, "outlook")

    async def outlook(arguments: dict[str, Any], use: Use) -> Any:
        assert use.caller.ask is not None
        given: Answer = await use.caller.ask(question)
        return f"{given.action}: {given.content.get('city')}"

    model = Model([executing(("outlook", {}))], ["Sunny."])
    turn = ask(owner, thread)

    def fill_in() -> bool:
        form = Approval.objects.pending().filter(call__turn=turn).first()
        if form is None:
            return False
        approvals.answer_form(owner, form.pk, approvals.token_of(form), "accept", {"city": "Zürich"})
        return True

    async def run() -> None:
        async with process(model) as one, asyncio.timeout(55):
            live = await one.take()
            assert live is not None
            assert live.task is not None
            while not await sync_to_async(fill_in)():
                await asyncio.sleep(0.02)
            live.loop.knock()
            await live.task

    with tools(outlook=(outlook, {})):
        asyncio.run(run())
    sound(turn, model)
    assert "accept: Zürich" in rows(turn)[2][1][0]["content"]
    (required,) = [event for event in events(turn) if event["type"] == "qlaud.approval_required"]
    assert (required["kind"], required["name"], required["message"]) == ("form", "outlook", "Which city?")
    assert "approval_resolved" in kinds(turn)
