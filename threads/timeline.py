"""A turn that used tools, step by step: what the model said and cost, and every call with what it made, in the order they happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from threads import trace
from threads.blocks import text_of
from threads.models import Message, ToolCall, Turn

WORDS = 200  # characters of what the model said at a step


@dataclass(slots=True)
class Step:
    """One call of the model, and the calls of tools that it asked for. `at` is in seconds since the question was sent."""

    iteration: int
    message: Message | None
    said: str
    at: float
    calls: list[Called] = field(default_factory=list)


@dataclass(slots=True)
class Called:
    """A call of a tool with those it made; `at` and `wait` in seconds: since the question, and from being asked for to running."""

    told: trace.Call
    at: float
    wait: float | None
    inner: list[Called] = field(default_factory=list)


def of(turn: Turn, messages: Sequence[Message], calls: Sequence[ToolCall]) -> list[Step]:
    """Empty for a turn without tools: its moments and its journal say all there is. `messages` and `calls` of the turn in order."""
    if not calls:
        return []
    answers = [message for message in messages if message.role == Message.Role.ASSISTANT]
    steps = [_step(turn, number, message) for number, message in enumerate(answers, 1)]
    made: dict[object, Called] = {}
    for call in calls:
        made[call.pk] = Called(trace.tool_call(call), _since(turn, call.created_at), _between(call.created_at, call.started_at))
        if call.parent_id in made:
            made[call.parent_id].inner.append(made[call.pk])
            continue
        while len(steps) < call.iteration:  # an answer that was never stored
            steps.append(Step(len(steps) + 1, None, "", _since(turn, call.created_at)))
        steps[max(call.iteration, 1) - 1].calls.append(made[call.pk])
    return steps


def _step(turn: Turn, number: int, message: Message) -> Step:
    said = " ".join(text_of(message.content).split())
    return Step(number, message, said if len(said) <= WORDS else f"{said[:WORDS]}…", _since(turn, message.created_at))


def _since(turn: Turn, at: datetime) -> float:
    return (at - turn.created_at).total_seconds()


def _between(start: datetime, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if end else None
