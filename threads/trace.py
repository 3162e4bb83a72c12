"""A turn, told so that a person can follow it: its moments, its blocks, its journal folded into lines, and its curve.

Pure reading of rows. Times are seconds since the question was sent (`created_at`), which is what the person waited; "after" is
the gap to the line before. The journal is dropped some time after the end, the messages stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.utils import timezone

from threads import markdown
from threads.blocks import (
    ApprovalRequired,
    ApprovalResolved,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    InputJsonDelta,
    IterationStart,
    MessageDelta,
    MessageStart,
    Other,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    ToolDone,
    ToolStart,
    TurnDone,
    TurnError,
    load_event,
    text_of,
)
from threads.models import Message, ToolCall, Turn, TurnEvent

MAX_EVENTS = 20_000
MAX_STRING = 20_000  # characters of one string inside shown JSON
SAME_WRITE = 0.002  # seconds; rows of one insert carry the clock of each row


@dataclass(slots=True)
class Tick:
    """Deltas that were written together."""

    at: float
    after: float
    count: int
    text: str


@dataclass(slots=True)
class Line:
    """One journal event, or a run of deltas of one block."""

    at: float
    after: float
    epoch: int
    index: int
    label: str
    kind: str = ""
    detail: str = ""
    ticks: list[Tick] = field(default_factory=list)
    new_epoch: bool = False

    @property
    def count(self) -> int:
        return sum(tick.count for tick in self.ticks)

    @property
    def chars(self) -> int:
        return sum(len(tick.text) for tick in self.ticks)

    @property
    def seconds(self) -> float:
        return self.ticks[-1].at - self.at if self.ticks else 0.0

    @property
    def longest_gap(self) -> float:
        return max((tick.after for tick in self.ticks[1:]), default=0.0)

    @property
    def last_index(self) -> int:
        return self.index + max(self.count, 1) - 1


@dataclass(slots=True)
class Moment:
    name: str
    time: datetime
    at: float
    note: str = ""


def journal(turn: Turn) -> tuple[list[Line], bool]:
    """The folded journal, and whether it was longer than what is shown. A turn keeps its partition through every claim."""
    if turn.ring is None:
        return [], False
    rows = (
        TurnEvent.objects.filter(ring=turn.ring, turn_id=turn.pk)
        .order_by("index")
        .values_list("index", "epoch", "payload", "created_at")[: MAX_EVENTS + 1]
    )
    found = list(rows)
    return fold(found[:MAX_EVENTS], turn.created_at), len(found) > MAX_EVENTS


def fold(rows: Iterable[tuple[int, int, str, datetime]], began: datetime) -> list[Line]:
    lines: list[Line] = []
    run: tuple[int, str, int] | None = None  # epoch, kind and block of the deltas being folded
    before = 0.0
    for index, epoch, payload, created_at in rows:
        at = (created_at - began).total_seconds()
        event = _load(payload)
        if isinstance(event, BlockDelta):
            kind, text = _delta(event)
            if run != (epoch, kind, event.index):
                run = (epoch, kind, event.index)
                lines.append(Line(at, at - before, epoch, index, f"block {event.index}", kind))
            _tick(lines[-1], at, at - before, text)
        else:
            run = None
            label, detail = _describe(event, payload)
            lines.append(Line(at, at - before, epoch, index, label, detail=detail))
        before = at
    for line, previous in zip(lines[1:], lines, strict=False):
        line.new_epoch = line.epoch != previous.epoch
    return lines


def _tick(line: Line, at: float, after: float, text: str) -> None:
    if line.ticks and at - line.ticks[-1].at < SAME_WRITE:
        line.ticks[-1].count += 1
        line.ticks[-1].text += text
    else:
        line.ticks.append(Tick(at, after, 1, text))


def _load(payload: str) -> Event | None:
    try:
        event = load_event(payload)
    except msgspec.DecodeError:
        return None
    return None if isinstance(event, Other) else event  # of another version: shown as it is


def _delta(event: BlockDelta) -> tuple[str, str]:
    match event.delta:
        case TextDelta(text):
            return "text", text
        case ThinkingDelta(text):
            return "thinking", text
        case InputJsonDelta(text):
            return "arguments", text
        case SignatureDelta(text):
            return "signature", text


def _describe(event: Event | None, payload: str) -> tuple[str, str]:
    """A few words and, where there is more, formatted JSON."""
    match event:
        case MessageStart(message):
            return f"message began: {message.get('model', '')}", pretty(message)
        case BlockStart(index, block):
            return f"block {index} began: {block.get('type', '')} {block.get('name', '')}".strip(), pretty(block)
        case BlockStop(index):
            return f"block {index} ended", ""
        case MessageDelta(delta, usage):
            return f"message ended: {delta.get('stop_reason') or 'reason unknown'}", pretty({"delta": delta, "usage": usage})
        case TurnError():
            return f"error: {event.kind or event.status or ''} {event.message}", pretty(json.loads(payload))
        case TurnDone():
            return "turn done", pretty(json.loads(payload))
        case IterationStart(iteration):
            return f"call {iteration} of the model", ""
        case ToolStart():
            return f"tool {event.name} began", pretty(json.loads(payload))
        case ToolDone():
            return f"tool {event.name} {'failed' if event.is_error else 'is done'}", pretty(json.loads(payload))
        case ApprovalRequired():
            return f"a person is asked about {event.name}", pretty(json.loads(payload) | {"token": "…"})
        case ApprovalResolved():
            return f"a person said: {event.decision}", pretty(json.loads(payload))
        case None:
            return "unknown event", payload[:MAX_STRING]
        case _:
            return "end of the provider's message", ""


def moments(turn: Turn) -> list[Moment]:
    """What happened to the turn as a whole, in order."""
    noted: list[tuple[str, datetime | None, str]] = [
        ("Sent", turn.created_at, ""),
        ("Started", turn.started_at, f"claimed {turn.epoch} times" if turn.epoch > 1 else ""),
        ("First token", turn.first_token_at, ""),
        ("Stop asked for", turn.stop_requested_at, ""),
        (turn.get_status_display(), turn.finished_at, turn.error_kind),
    ]
    found = [Moment(name, time, (time - turn.created_at).total_seconds(), note) for name, time, note in noted if time]
    return sorted(found, key=lambda moment: moment.at)


def journal_note(turn: Turn, found: bool) -> str:
    """Why there is no journal, when there is none."""
    if found:
        return ""
    if turn.started_at is None:
        return "The turn has not been started, so nothing has been written to its journal."
    if turn.finished_at and timezone.now() - turn.finished_at > timedelta(seconds=settings.RESUME_WINDOW_SECONDS):
        return "The journal is kept for an hour after the end and has been dropped. What follows is what the stored rows tell."
    return "Nothing has been written to the journal of this turn."


@dataclass(slots=True)
class Epoch:
    """What one claim of the turn wrote."""

    number: int
    first: float
    last: float
    events: int = 0


def epochs(lines: list[Line]) -> list[Epoch]:
    found: dict[int, Epoch] = {}
    for line in lines:
        epoch = found.setdefault(line.epoch, Epoch(line.epoch, line.at, line.at))
        epoch.last = line.at + line.seconds
        epoch.events += max(line.count, 1)
    return list(found.values())


def text_so_far(lines: list[Line]) -> str:
    """The text in the journal, for an answer that has no stored content yet."""
    return "".join(tick.text for line in lines if line.kind == "text" for tick in line.ticks)


@dataclass(slots=True)
class Call:
    """A tool call, ready for the page."""

    call: ToolCall
    arguments: str
    result: str
    seconds: float | None


def tool_call(call: ToolCall) -> Call:
    seconds = (call.finished_at - call.started_at).total_seconds() if call.started_at and call.finished_at else None
    return Call(call, pretty(call.arguments), pretty(call.result) if call.result is not None else "", seconds)


def words(blocks: list[Block]) -> str:
    """The beginning of a question, on one line."""
    return " ".join(text_of(blocks)[:400].split())[:120]


@dataclass(slots=True)
class Shown:
    """A content block, ready for the page."""

    kind: str
    title: str
    html: str = ""
    pre: str = ""
    error: bool = False


def shown(message: Message) -> list[Shown]:
    """Text as the person sees it; everything else as it is stored."""
    draw = markdown.render_plain if message.role == Message.Role.USER else markdown.render
    return [_shown(block, draw) for block in message.content]


def _shown(block: Block, draw: Callable[[str], str]) -> Shown:
    match block:
        case {"type": "text", "text": str(text)}:
            return Shown("text", "Text", html=draw(text))
        case {"type": "thinking", "thinking": str(text)}:
            return Shown("thinking", "Thinking", pre=text)
        case {"type": "tool_use", "name": name, "id": call}:
            return Shown("tool", f"Tool call {name} · {call}", pre=pretty(block.get("invalid_input", block.get("input"))))
        case {"type": "tool_result", "tool_use_id": call}:
            return Shown("tool", f"Tool result · {call}", pre=pretty(block.get("content")), error=bool(block.get("is_error")))
    return Shown("other", str(block.get("type", "Unknown")), pre=pretty(block))


def pretty(value: Any) -> str:
    """Formatted JSON, or the text itself; long strings (files, signatures) are cut with their length."""
    if isinstance(value, str):
        return str(_cut(value))
    return json.dumps(_cut(value), indent=2, ensure_ascii=False)


def _cut(value: Any) -> Any:
    match value:
        case str() if len(value) > MAX_STRING:
            return f"{value[:200]}… ({len(value):,} characters)"
        case dict():
            return {key: _cut(inner) for key, inner in value.items()}
        case list():
            return [_cut(inner) for inner in value]
    return value
