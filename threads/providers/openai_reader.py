"""Chunks of chat completions as canonical events: blocks one after the other, whatever order their pieces come in."""

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import msgspec

from threads.blocks import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    TextDelta,
    ThinkingDelta,
)
from threads.providers.base import Request
from threads.providers.failures import Vendor
from threads.providers.history import ToolNames, result_text
from threads.providers.wire import clean_json

STOP_REASONS = {"length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use", "function_call": "tool_use"}
CHARS_PER_TOKEN = 4
TOKENS_PER_IMAGE = 1_000


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    reasoning_content: str | None = None
    reasoning: str | dict[str, Any] | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    id: str | None = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_decoder: msgspec.json.Decoder[_Chunk] = msgspec.json.Decoder(_Chunk)


@dataclass(slots=True)
class _OpenCall:
    id: str
    name: str = ""
    waiting: list[str] = field(default_factory=list)  # arguments that came while another call was being told


class Reader:
    """State of one answer. At most one block is open; only the first of parallel calls is told while it arrives."""

    def __init__(self, vendor: Vendor, request: Request, names: ToolNames) -> None:
        self.vendor = vendor
        self.request = request
        self.names = names
        self.open = ""  # "text", "thinking" or "tool_use"
        self.index = -1
        self.calls: dict[int, _OpenCall] = {}
        self.told: set[int] = set()
        self.usage: dict[str, Any] | None = None
        self.finish = ""
        self.started = self.begun = self.done = False
        self.said = 0  # characters

    @property
    def finished(self) -> bool:
        return bool(self.finish)

    def read(self, payload: bytes) -> list[Event]:
        """Events of one chunk. Raises ProviderError for an error in it, ValueError for what is not the protocol."""
        if payload == b"[DONE]":
            self.done = True
            return []
        chunk = _decoder.decode(clean_json(payload))
        if chunk.error:
            body = {"error": chunk.error}
            raise self.vendor.refusal(self.request.model, _status(chunk.error), {}, body)
        if chunk.usage:
            self.usage = chunk.usage
        if not chunk.choices:
            return []
        choice = chunk.choices[0]
        events: list[Event] = [] if self.started else [self._start(chunk)]
        if choice.delta is not None:
            self._grow(choice.delta, events)
        if choice.finish_reason:
            self.finish = choice.finish_reason
        return events

    def end(self) -> list[Event]:
        """Closes what is open; called once, when the stream is over."""
        events: list[Event] = [] if self.started else [self._start(_Chunk())]
        called = bool(self.calls or self.told)
        self._tell_calls(events)
        self._close(events)
        reason = STOP_REASONS.get(self.finish, "end_turn")
        # Some servers say "stop" after a call.
        stop_reason = "tool_use" if called and reason == "end_turn" else reason
        events += [MessageDelta({"stop_reason": stop_reason, "stop_sequence": None}, self._counted()), MessageStop()]
        return events

    def _start(self, chunk: _Chunk) -> Event:
        self.started = True
        usage = {"input_tokens": _estimate(self.request), "output_tokens": 1}  # until the provider says
        message = {"id": chunk.id or f"msg_{uuid.uuid4().hex[:24]}", "type": "message", "role": "assistant", "content": []}
        return MessageStart({**message, "model": self.request.model.slug, "stop_reason": None, "stop_sequence": None, "usage": usage})

    def _grow(self, delta: _Delta, events: list[Event]) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if thought and isinstance(thought, str):
            self._enter("thinking", {"type": "thinking", "thinking": "", "signature": ""}, events)
            events.append(BlockDelta(self.index, ThinkingDelta(thought)))
            self._count(thought)
        text = delta.content if isinstance(delta.content, str) else _joined(delta.content)
        text = text or delta.refusal or ""
        if text and not (self.calls and text.isspace()):  # a line end after a call is not an answer
            self._tell_calls(events)
            self._enter("text", {"type": "text", "text": ""}, events)
            events.append(BlockDelta(self.index, TextDelta(text)))
            self._count(text)
        for call in delta.tool_calls or ():
            self._call(call, events)

    def _call(self, piece: _Call, events: list[Event]) -> None:
        function = piece.function or _Function()
        number = self._number(piece, function)
        if number in self.told:
            raise ValueError("more of a call that was complete")
        call = self.calls.setdefault(number, _OpenCall(piece.id or f"call_{uuid.uuid4().hex[:24]}"))
        call.name = call.name or function.name or ""
        arguments = function.arguments if isinstance(function.arguments, str) else json.dumps(function.arguments or {})
        if function.arguments:
            call.waiting.append(arguments)
            self._count(arguments)
        if number == next(iter(self.calls)) and call.name:
            self._tell(call, events)

    def _number(self, piece: _Call, function: _Function) -> int:
        """Which call a piece belongs to. Servers that leave the index out send each call whole, or continue the last one."""
        if piece.index is not None:
            return piece.index
        fresh = not self.calls or (function.name and piece.id != self.calls[max(self.calls)].id)
        return max((*self.calls, *self.told), default=-1) + 1 if fresh else max(self.calls)

    def _tell(self, call: _OpenCall, events: list[Event]) -> None:
        if self.open != call.id:
            self._enter(call.id, {"type": "tool_use", "id": call.id, "name": self.names.decode(call.name), "input": {}}, events)
        events += [BlockDelta(self.index, InputJsonDelta(arguments)) for arguments in call.waiting]
        call.waiting.clear()

    def _tell_calls(self, events: list[Event]) -> None:
        """All calls so far are complete."""
        for number, call in self.calls.items():
            if not call.name:
                raise ValueError("a call without a name")
            self._tell(call, events)
            self._close(events)
            self.told.add(number)
        self.calls.clear()

    def _enter(self, kind: str, block: Block, events: list[Event]) -> None:
        if self.open == kind:
            return
        self._close(events)
        self.open = kind
        self.index += 1
        events.append(BlockStart(self.index, block))

    def _close(self, events: list[Event]) -> None:
        if self.open:
            events.append(BlockStop(self.index))
            self.open = ""

    def _count(self, text: str) -> None:
        self.begun = True
        self.said += len(text)

    def _counted(self) -> dict[str, Any]:
        """Usage in the canonical shape, where `input_tokens` are those that no cache had or got."""
        if self.usage is None:
            return {"output_tokens": max(1, -(-self.said // CHARS_PER_TOKEN)), "estimated": True}
        details = self.usage.get("prompt_tokens_details") or {}
        cached, written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
        return {
            "input_tokens": max(0, (self.usage.get("prompt_tokens") or 0) - cached - written),
            "output_tokens": self.usage.get("completion_tokens") or 0,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": written,
        }


def _estimate(request: Request) -> int:
    """Input tokens by length, for answers that end before their usage is known."""
    chars = len(str(request.system or "")) + len(str(request.tools)) * bool(request.tools)
    images = 0
    for message in request.messages:
        for block in message["content"]:
            images += block["type"] in ("image", "document")
            chars += len(block.get("text") or "") + len(str(block.get("input") or ""))
            chars += len(result_text(block)) if block["type"] == "tool_result" else 0
    return max(1, chars // CHARS_PER_TOKEN + images * TOKENS_PER_IMAGE)


def _joined(parts: list[dict[str, Any]] | None) -> str:
    """Text that comes as a list of parts."""
    return "".join(part.get("text") or "" for part in parts or ())


def _status(error: object) -> int | None:
    """Routers put the HTTP status of the server behind them into `code`."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else None
