"""What of a turn's journal outlives it: which events there were, and how long each piece of text was, in about a byte per event.

With it and the stored rows the stream can be told again with the same indexes and the same cuts, so a reader who left off at
an index of the journal goes on at the right letter, however much later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from threads.blocks import (
    ApprovalRequired,
    ApprovalResolved,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Delta,
    Event,
    InputJsonDelta,
    IterationStart,
    MessageDelta,
    MessageStart,
    MessageStop,
    Other,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    ToolDone,
    ToolStart,
    TurnDone,
    TurnError,
    dump_event,
    dump_json,
)
from threads.models import Approval, Message, ToolCall, Turn
from threads.recalled import Recalled


class Mark(IntEnum):
    """One event, except TURN_TO."""

    MESSAGE_START = 0
    MESSAGE_DELTA = 1
    MESSAGE_STOP = 2
    ERROR = 3
    DONE = 4
    OTHER = 5
    BLOCK_STOP = 6
    SIGNATURE = 7
    TURN_TO = 8  # what follows is of the block whose index comes next
    TEXT_START = 9
    THINKING_START = 10
    TOOL_START = 11
    OTHER_START = 12
    ITERATION = 13
    CALL = 14  # what was said of a call (see Said) and its number among the calls of all messages, or that of the question, come next
    LENGTH = 16  # and more: a piece of text of that many characters


class Said(IntEnum):
    STARTED = 0
    DONE = 1
    ASKED = 2
    ANSWERED = 3


STARTS = {"text": Mark.TEXT_START, "thinking": Mark.THINKING_START, "tool_use": Mark.TOOL_START}
KINDS = {mark: kind for kind, mark in STARTS.items()}
PLAIN: dict[type, Mark] = {MessageStart: Mark.MESSAGE_START, MessageDelta: Mark.MESSAGE_DELTA, MessageStop: Mark.MESSAGE_STOP}
PLAIN |= {TurnError: Mark.ERROR, TurnDone: Mark.DONE, Other: Mark.OTHER, IterationStart: Mark.ITERATION}


class Outline:
    """Written along with the journal."""

    __slots__ = ("asked", "block", "called", "data")

    def __init__(self) -> None:
        self.data = bytearray()
        self.block = 0
        self.called: dict[str, int] = {}  # calls by their ids, numbered as they come
        self.asked: dict[str, int] = {}  # questions to the person, likewise

    def add(self, event: Event | Other) -> None:
        match event:
            case BlockStart(index, content):
                self._turn_to(index)
                self._put(STARTS.get(content["type"], Mark.OTHER_START))
                if content["type"] == "tool_use":
                    self.called.setdefault(content.get("id", ""), len(self.called))
            case BlockDelta(index, delta):
                self._turn_to(index)
                self._put(Mark.SIGNATURE if isinstance(delta, SignatureDelta) else Mark.LENGTH + len(_text(delta)))
            case BlockStop(index):
                self._turn_to(index)
                self._put(Mark.BLOCK_STOP)
            case ToolStart() | ToolDone():
                said = Said.STARTED if isinstance(event, ToolStart) else Said.DONE
                self._say(said, self.called.setdefault(event.tool_use_id, len(self.called)))
            case ApprovalRequired() | ApprovalResolved():
                said = Said.ASKED if isinstance(event, ApprovalRequired) else Said.ANSWERED
                self._say(said, self.asked.setdefault(event.approval_id, len(self.asked)))
            case _:
                self._put(PLAIN[type(event)])

    def _say(self, said: Said, number: int) -> None:
        self._put(Mark.CALL)
        self._put(said)
        self._put(number)

    def _turn_to(self, index: int) -> None:
        if index != self.block:
            self._put(Mark.TURN_TO)
            self._put(index)
            self.block = index

    def _put(self, number: int) -> None:
        while number > 127:
            self.data.append(128 | number & 127)
            number >>= 7
        self.data.append(number)


def _text(delta: TextDelta | ThinkingDelta | InputJsonDelta) -> str:
    match delta:
        case TextDelta(text) | ThinkingDelta(text) | InputJsonDelta(text):
            return text


@dataclass(slots=True)
class Kept:
    """What is stored of a turn behind its question: the messages in order, and of its calls what the messages do not say."""

    rows: list[Message]
    calls: list[ToolCall] = field(default_factory=list)
    approvals: list[Approval] = field(default_factory=list)

    @property
    def answers(self) -> list[Message]:
        return [row for row in self.rows if row.role == Message.Role.ASSISTANT]


def last_index(turn: Turn, kept: Kept) -> int:
    """Index of the last event of a finished turn whose journal is gone."""
    return sum(1 for _ in _marks(_outline(turn, kept))) - 1


def told_again(turn: Turn, kept: Kept) -> list[str]:
    """The events of a finished turn whose journal is gone."""
    if not kept.answers:
        return []
    teller = _Teller(turn, kept)
    return [dump_event(teller.event(mark, block)) for mark, block in _marks(_outline(turn, kept))]


class _Rest:
    """What of the stored blocks has not been told yet."""

    def __init__(self, content: list[Block]) -> None:
        self.stored = list(content)
        self.text: dict[int, str] = {}
        self.signature: dict[int, str] = {}
        self.kinds: dict[int, str] = {}

    def open(self, index: int, kind: str) -> Block:
        """The block as it began. One that was not kept (empty, or cut in its arguments) has nothing to tell."""
        self.kinds[index] = kind
        kept = self.stored.pop(0) if self.stored and kind in (self.stored[0]["type"], "") else {"type": kind or "unknown"}
        match kind:
            case "text":
                self.text[index] = kept.get("text", "")
                return {"type": "text", "text": ""}
            case "thinking":
                self.text[index], self.signature[index] = kept.get("thinking", ""), kept.get("signature", "")
                return {"type": "thinking", "thinking": "", "signature": ""}
            case "tool_use":
                self.text[index] = dump_json(kept["input"]) if "input" in kept else ""
                return {"type": "tool_use", "id": kept.get("id", ""), "name": kept.get("name", ""), "input": {}}
        return {"type": kept["type"], **kept}

    def piece(self, index: int, length: int) -> Delta:
        rest = self.text.get(index, "")
        match self.kinds.get(index):
            case "thinking":
                self.text[index] = rest[length:]
                return ThinkingDelta(rest[:length])
            case "tool_use":
                self.text[index] = ""  # arguments are stored as values, not as they were spelled: all at once
                return InputJsonDelta(rest)
        self.text[index] = rest[length:]
        return TextDelta(rest[:length])


class _Teller:
    """Tells the events of a turn, one message after the other."""

    def __init__(self, turn: Turn, kept: Kept) -> None:
        self.turn = turn
        self.answers = kept.answers
        self.place = 0
        self.rest = _Rest(self.answer.content)
        self.calls = Recalled(kept.rows, kept.calls, kept.approvals)

    @property
    def answer(self) -> Message:
        """The message that is told now."""
        return self.answers[min(self.place, len(self.answers) - 1)]

    def event(self, mark: int, block: int) -> Event:
        answer, turn = self.answer, self.turn
        match mark:
            case Mark.MESSAGE_START:
                return MessageStart(_opening(turn, answer, answer.usage or {}))
            case Mark.BLOCK_STOP:
                return BlockStop(block)
            case Mark.MESSAGE_DELTA:
                return MessageDelta({"stop_reason": answer.stop_reason or None, "stop_sequence": None}, answer.usage or {})
            case Mark.MESSAGE_STOP | Mark.OTHER:  # an event of another version was passed over by every reader
                return MessageStop()
            case Mark.ERROR:
                return TurnError(message=turn.error_message, kind=turn.error_kind or None, retry_after=turn.retry_after)
            case Mark.DONE:
                return _done(turn, self.answers[-1])
            case Mark.ITERATION:
                self.place += 1
                self.rest = _Rest(self.answer.content)
                return IterationStart(self.place + 1)
            case Mark.SIGNATURE:
                return BlockDelta(block, SignatureDelta(self.rest.signature.pop(block, "")))
            case Mark.CALL:
                return self.calls.event(block >> 2, block & 3)
            case _ if mark >= Mark.LENGTH:
                return BlockDelta(block, self.rest.piece(block, mark - Mark.LENGTH))
        return BlockStart(block, self.rest.open(block, KINDS.get(Mark(mark), "")))


def _done(turn: Turn, answer: Message) -> TurnDone:
    return TurnDone(
        iterations=turn.iterations,
        hit_max_iterations=turn.hit_max_iterations,
        incomplete=None if turn.status == Turn.Status.DONE else True,
        cost_micros=turn.cost_micros,
        seq=answer.seq,
        thread_id=str(turn.thread_id),
    )


def _opening(turn: Turn, answer: Message, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.pk.hex}",
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": usage.get("input_tokens", 0), "output_tokens": 0},
    }


def _outline(turn: Turn, kept: Kept) -> bytes:
    """As it was written; for a turn that came from elsewhere, each block in one piece."""
    if turn.outline or not kept.answers:
        return bytes(turn.outline)
    plain = Outline()
    for place, answer in enumerate(kept.answers):
        if place:
            plain.add(IterationStart(place + 1))
        _outline_of(plain, answer)
    if turn.error_message:
        plain.add(TurnError(message=""))
    plain.add(TurnDone(iterations=1, hit_max_iterations=False))
    return bytes(plain.data)


def _outline_of(plain: Outline, answer: Message) -> None:
    plain.add(MessageStart({}))
    for index, block in enumerate(answer.content):
        plain.add(BlockStart(index, block))
        if block["type"] in STARTS:
            plain.add(BlockDelta(index, TextDelta(block.get("text") or block.get("thinking") or "")))
        if block["type"] == "thinking":
            plain.add(BlockDelta(index, SignatureDelta("")))
        plain.add(BlockStop(index))
    plain.add(MessageDelta({}, {}))
    plain.add(MessageStop())


def _marks(data: bytes) -> Iterator[tuple[int, int]]:
    """(mark, block) of every event; of one about a call, its number and what was said, four times the one plus the other."""
    block, numbers = 0, _numbers(data)
    for number in numbers:
        if number == Mark.TURN_TO:
            block = next(numbers)
        elif number == Mark.CALL:
            said = next(numbers)
            yield number, next(numbers) * 4 + said
        else:
            yield number, block


def _numbers(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 127) << shift
        if byte < 128:
            yield number
            number = shift = 0
        else:
            shift += 7
