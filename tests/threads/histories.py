"""Conversations as they are found in the database, with turns in every state: what the admin has to explain."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from threads.blocks import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Delta,
    Event,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    TextDelta,
    ThinkingDelta,
    TurnDone,
    dump_event,
)
from threads.models import Message, Runner, Thread, ToolCall, Turn, TurnEvent

ANSWER = "Twelve times seven is **84**.\n\n| a | b |\n|---|---|\n| 12 | 7 |\n\nAsk for another one."
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "calculate", "input": {"expression": "12*7"}}
TOOL_RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "84"}]}
CONTENT: list[Block] = [
    {"type": "thinking", "thinking": "A product: I should calculate.", "signature": "c2lnbmF0dXJl"},
    TOOL_USE,
    {"type": "text", "text": ANSWER},
]
STATES: dict[str, dict[str, Any]] = {
    "done": {"usage": {"input_tokens": 321, "output_tokens": 88}, "cost_micros": 2340},
    "stopped": {"stop_requested": True, "usage": {"output_tokens": 12}},
    "failed": {"error_kind": "overloaded", "error_message": "The provider is overloaded. Try again in a minute."},
    "interrupted": {"epoch": 5, "attempts": 5, "error_kind": "cut", "error_message": "The connection broke five times."},
    "running": {"epoch": 2, "attempts": 2},
    "queued": {},
}


def conversation(user: User, age: timedelta = timedelta(minutes=2)) -> Thread:
    """A thread with one turn in each state of STATES, sent `age` ago, each with what it would have left behind."""
    Runner.objects.get_or_create(name="host:1:abc", defaults={"started_at": timezone.now(), "seen_at": timezone.now(), "capacity": 1000})
    key = user.api_keys.filter(personal=True).first()
    thread = Thread.objects.create(user=user, key=key, title="Secret plans about 12*7", model="demo", metadata={"app": "test"})
    for number, status in enumerate(STATES, 1):
        _turn(thread, number, status, timezone.now() - age)
    thread.turn_count, thread.last_seq = len(STATES), 2 * (len(STATES) - 1)
    thread.active_turn = thread.turns.get(status="running")
    thread.save()
    return thread


def _turn(thread: Thread, number: int, status: str, sent: datetime) -> Turn:
    state = dict(STATES[status])
    started = status != "queued"
    over = status not in ("queued", "running")
    stopped = state.pop("stop_requested", False)
    state = {"epoch": 1, "attempts": 1, **state} if started else state
    turn = Turn.objects.create(
        thread=thread,
        key=thread.key,
        number=number,
        request_id=f"request-{thread.pk}-{number}",
        request_digest=b"digest-never-shown-".ljust(32, b"!"),
        model="demo",
        options={"max_tokens": 4096, "system": "Be brief."},
        price={"input": "1.00", "output": "5.00"},
        status=status,
        runner="host:1:abc" if started else "",
        lease_until=timezone.now() + timedelta(seconds=15) if status == "running" else None,
        ring=number % 8 if started else None,
        first_seq=2 * number - 1 if started else None,
        created_at=sent,
        started_at=sent + timedelta(milliseconds=12) if started else None,
        first_token_at=sent + timedelta(milliseconds=480) if started else None,
        stop_requested_at=sent + timedelta(seconds=3) if stopped else None,
        finished_at=sent + timedelta(seconds=5) if over else None,
        **state,
    )
    _messages(turn, started, over)
    if started:
        journal(turn)
        ToolCall.objects.create(
            turn=turn,
            tool_use_id="toolu_1",
            name="calculate",
            arguments={"expression": "12*7"},
            status="failed" if status == "failed" else "done",
            result="ZeroDivisionError" if status == "failed" else {"value": 84},
            is_error=status == "failed",
            attempts=1,
            started_at=sent + timedelta(seconds=1),
            finished_at=sent + timedelta(milliseconds=1250),
        )
    return turn


def _messages(turn: Turn, started: bool, over: bool) -> None:
    question = [{"type": "text", "text": f"What is 12*7? (question {turn.number})"}]
    seq = turn.first_seq
    Message.objects.create(thread=turn.thread, turn=turn, seq=seq, role="user", content=question, created_at=turn.created_at)
    Message.objects.create(
        thread=turn.thread,
        turn=turn,
        seq=seq + 1 if seq else None,
        role="assistant",
        content=[*CONTENT, TOOL_RESULT] if over else [],
        status={"done": "complete", "running": "streaming", "queued": "streaming"}.get(turn.status, turn.status),
        model="demo",
        usage=turn.usage or None,
        cost_micros=turn.cost_micros,
    )


def journal(turn: Turn, words: int = 40) -> None:
    """Thinking, a tool call and `words` deltas of text, the later half under the turn's last epoch; one event of another version."""
    events: list[Event] = [MessageStart({"id": "msg_1", "model": "demo", "usage": {"input_tokens": 321}})]
    events += _block(0, {"type": "thinking", "thinking": ""}, *(ThinkingDelta(f"thought {n} ") for n in range(12)))
    events += _block(1, TOOL_USE | {"input": {}}, InputJsonDelta('{"expression": '), InputJsonDelta('"12*7"}'))
    events += _block(2, {"type": "text", "text": ""}, *(TextDelta(f"word{n} ") for n in range(words)))
    events += [MessageDelta({"stop_reason": "end_turn"}, {"output_tokens": 88}), MessageStop(), TurnDone(1, False, cost_micros=2340)]
    payloads = [dump_event(event) for event in events] + ['{"type":"from.the.future","n":1}']
    assert turn.ring is not None
    TurnEvent.objects.bulk_create(
        TurnEvent(
            ring=turn.ring,
            turn_id=turn.pk,
            index=index,
            epoch=turn.epoch if index > len(payloads) // 2 else 1,
            payload=payload,
            created_at=turn.created_at + timedelta(milliseconds=480 + 60 * index + (700 if index > 30 else 0)),
        )
        for index, payload in enumerate(payloads)
    )


def _block(index: int, block: Block, *deltas: Delta) -> list[Event]:
    return [BlockStart(index, block), *(BlockDelta(index, delta) for delta in deltas), BlockStop(index)]
