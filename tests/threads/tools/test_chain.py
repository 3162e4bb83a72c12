"""The chain over tool calls: what is changed, moved or taken out is named; what is not is not."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from chatai.lib.ids import uuid7
from threads import chain
from threads.models import Message, Thread, ToolCall, Turn

# What JSON makes of numbers and keys when it is stored, and what must not matter to the chain.
ARGUMENTS: dict[str, Any] = {"b": 1.0, "a": [1e23, -0.0, 1e-7, 10**30, True, None], "ä": "ö\u2028", "nested": {"y": 2.50, "x": {}}}


@pytest.fixture
def turn(owner: User) -> Turn:
    thread = Thread.objects.create(user=owner)
    turn = Turn.objects.create(thread=thread, number=1, request_id="r", request_digest=b"", model="demo", status="done", iterations=2)
    previous = chain.START
    for number in range(4):
        made = {
            "id": uuid7(),
            "turn_id": turn.pk,
            "tool_use_id": f"toolu_{number}",
            "name": "calculator",
            "arguments": ARGUMENTS,
            "status": "done",
            "result": {"output": number / 3},
            "position": number,
            "attempts": 1,
        }
        defaults = {name: getattr(ToolCall(), name) for name in chain.COLUMNS if name not in made}
        previous = chain.link(previous, {**defaults, **made})
        ToolCall.objects.create(**made, chain_number=number, chain_hash=previous, finished_at=timezone.now())
    return turn


def findings(turn: Turn) -> list[str]:
    return [str(finding) for finding in chain.check([turn.pk])]


def call(number: int) -> ToolCall:
    return ToolCall.objects.get(chain_number=number)


def test_what_was_written_is_what_is_read(turn: Turn) -> None:
    assert findings(turn) == []
    told = StringIO()
    call_command("check_tool_calls", stdout=told)
    assert "All 4 finished calls are as they were written." in told.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": {"b": 2}},
        {"result": {"output": 0}},
        {"verdict_by": "somebody else"},
        {"credential": "tenant"},
        {"name": "other"},
        {"cost_micros": 1},
        {"is_error": True},
        {"chain_hash": b"x" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_row_is_named_and_no_other(turn: Turn, change: dict[str, Any]) -> None:
    changed = call(1)
    ToolCall.objects.filter(pk=changed.pk).update(**change)
    named = [finding.call_id for finding in chain.check([turn.pk])]
    assert named[0] == changed.pk
    # With another hash, the row behind no longer stands on what it stood on.
    assert named[1:] == ([call(2).pk] if "chain_hash" in change else [])


def test_a_row_that_was_taken_out_leaves_a_gap(turn: Turn) -> None:
    call(1).delete()
    assert findings(turn) == [f"turn {turn.pk}: call number 1 is gone, before call {call(2).pk}"]


def test_the_last_row_is_missed_by_the_history(turn: Turn) -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_3", "content": "1"}
    Message.objects.create(thread=turn.thread, turn=turn, seq=1, role="user", content=[result])
    assert findings(turn) == []
    call(3).delete()
    assert findings(turn) == [f"turn {turn.pk}: the history has the result of toolu_3, and there is no finished call of it"]


def test_a_row_that_was_put_in_later_is_named(turn: Turn) -> None:
    added = ToolCall.objects.create(turn=turn, tool_use_id="x", name="n", arguments={}, status="done", finished_at=timezone.now())
    assert [finding.call_id for finding in chain.check([turn.pk])] == [added.pk]


def test_two_calls_cannot_change_places(turn: Turn) -> None:
    first, second = call(1), call(2)
    ToolCall.objects.filter(pk=first.pk).update(chain_number=2, chain_hash=second.chain_hash)
    ToolCall.objects.filter(pk=second.pk).update(chain_number=1, chain_hash=first.chain_hash)
    assert {finding.call_id for finding in chain.check([turn.pk])} == {first.pk, second.pk}


def test_who_can_write_rows_but_has_no_key_cannot_make_the_chain_true_again(turn: Turn, settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["a guess"]
    changed = ToolCall.objects.filter(chain_number=3).values(*chain.COLUMNS)[0]
    forged = chain.link(bytes(call(2).chain_hash or b""), {**changed, "result": {"output": 3}})
    ToolCall.objects.filter(chain_number=3).update(result={"output": 3}, chain_hash=forged)
    settings.FIELD_ENCRYPTION_KEYS = []
    assert [finding.call_id for finding in chain.check([turn.pk])] == [changed["id"]]


def test_a_chain_outlives_the_rotation_of_its_key(turn: Turn, settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["a new key", settings.SECRET_KEY]
    assert findings(turn) == []
    settings.FIELD_ENCRYPTION_KEYS = ["a new key"]
    assert "none of its calls fits" in findings(turn)[0]


def test_the_command_ends_with_an_error_that_names_the_row(turn: Turn) -> None:
    changed = call(0)
    ToolCall.objects.filter(pk=changed.pk).update(result=None)
    told = StringIO()
    with pytest.raises(CommandError, match="1 finding"):
        call_command("check_tool_calls", str(turn.pk), stdout=told)
    assert str(changed.pk) in told.getvalue()
