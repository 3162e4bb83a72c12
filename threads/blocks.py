"""Content blocks and stream events: pure values in the Anthropic Messages shape, to and from JSON.

Blocks are what a message holds: plain dicts `{"type": "text", "text": …}`, `thinking`, `tool_use`, `tool_result`, `image`,
`document`, unknown ones included, so that opaque provider data (signatures, encrypted reasoning) rides along untouched.
Events are what a stream brings; `type` is their first JSON key because clients read it from raw bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec

Block = dict[str, Any]


class MessageStart(msgspec.Struct, tag_field="type", tag="message_start"):
    message: dict[str, Any]


class BlockStart(msgspec.Struct, tag_field="type", tag="content_block_start"):
    index: int
    content_block: Block


class TextDelta(msgspec.Struct, tag_field="type", tag="text_delta"):
    text: str


class ThinkingDelta(msgspec.Struct, tag_field="type", tag="thinking_delta"):
    thinking: str


class SignatureDelta(msgspec.Struct, tag_field="type", tag="signature_delta"):
    signature: str


class InputJsonDelta(msgspec.Struct, tag_field="type", tag="input_json_delta"):
    partial_json: str


Delta = TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta


class BlockDelta(msgspec.Struct, tag_field="type", tag="content_block_delta"):
    index: int
    delta: Delta


class BlockStop(msgspec.Struct, tag_field="type", tag="content_block_stop"):
    index: int


class MessageDelta(msgspec.Struct, tag_field="type", tag="message_delta"):
    delta: dict[str, Any]
    usage: dict[str, Any]


class MessageStop(msgspec.Struct, tag_field="type", tag="message_stop"):
    pass


class TurnError(msgspec.Struct, tag_field="type", tag="qlaud.error", omit_defaults=True):
    message: str
    status: int | None = None
    kind: str | None = None
    retry_after: int | None = None  # seconds, where the provider said so


class TurnDone(msgspec.Struct, tag_field="type", tag="qlaud.done", omit_defaults=True):
    iterations: int
    hit_max_iterations: bool
    incomplete: bool | None = None
    cost_micros: int | None = None
    seq: int | None = None
    thread_id: str | None = None


class IterationStart(msgspec.Struct, tag_field="type", tag="qlaud.iteration_start"):
    iteration: int  # from 2 on: the first call of the model needs no word


class ToolStart(msgspec.Struct, tag_field="type", tag="qlaud.tool_dispatch_start"):
    iteration: int
    tool_use_id: str
    name: str


class ToolDone(msgspec.Struct, tag_field="type", tag="qlaud.tool_dispatch_done", omit_defaults=True):
    iteration: int
    tool_use_id: str
    name: str
    is_error: bool
    output: Any
    ms: int | None = None  # how long it ran
    error_kind: str | None = None
    files: list[Block] | None = None  # pictures and documents that came with it, as references


class ApprovalRequired(msgspec.Struct, tag_field="type", tag="qlaud.approval_required", omit_defaults=True):
    iteration: int
    tool_use_id: str  # of the call in the message; what it stands for may be one of several inside it
    approval_id: str
    kind: str  # approval | form
    name: str  # of the tool, or of the server that asks
    arguments: Any
    token: str
    expires_at: int  # milliseconds
    message: str | None = None
    schema: dict[str, Any] | None = None
    changed: bool = False


class ApprovalResolved(msgspec.Struct, tag_field="type", tag="qlaud.approval_resolved"):
    iteration: int
    tool_use_id: str
    approval_id: str
    decision: str  # once | chat | deny | expired | accept | decline | cancel


class Other(msgspec.Struct):
    """An event this version does not know (another version's journal during an upgrade): passed over."""

    type: str


ToolEvent = IterationStart | ToolStart | ToolDone | ApprovalRequired | ApprovalResolved
Event = MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | TurnError | TurnDone | ToolEvent

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_other = msgspec.json.Decoder(Other)


def dump_event(event: Event) -> str:
    """Compact JSON, raw UTF-8, `type` first."""
    return _encode(event).decode()


def dump_json(value: Any) -> str:
    """Compact JSON, raw UTF-8, keys in the order given."""
    return _encode(value).decode()


def load_event(payload: str | bytes) -> Event | Other:
    """Raises msgspec.DecodeError for what is no event at all."""
    try:
        return _decoder.decode(payload)
    except msgspec.ValidationError:
        return _other.decode(payload)


def clean_text(text: str) -> str:
    """NUL and lone surrogates become U+FFFD: PostgreSQL and UTF-8 have no place for them (contract, decision 21)."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def clean(value: Any) -> Any:
    """A JSON value with all of its strings cleaned."""
    match value:
        case str():
            return clean_text(value)
        case list():
            return [clean(item) for item in value]
        case dict():
            return {clean_text(name): clean(item) for name, item in value.items()}
    return value


class Partial:
    """A message under construction: folds the events of one iteration into blocks. What is lost when it dies is in the journal."""

    __slots__ = ("blocks", "buffers", "closed", "message_id", "model", "started", "stop_reason", "stop_sequence", "usage")

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.buffers: list[list[str]] = []
        self.closed: list[bool] = []
        self.started = False
        self.message_id = ""
        self.model = ""
        self.stop_reason: str | None = None
        self.stop_sequence: str | None = None
        self.usage: dict[str, Any] = {}

    def add(self, event: Event | Other) -> None:
        match event:
            case BlockDelta(index, delta):
                self._grow(index, delta)
            case BlockStart(index, block):
                if index != len(self.blocks):
                    raise ValueError(f"block {index} opened after {len(self.blocks)} blocks")
                self.blocks.append(dict(block))
                self.buffers.append([])
                self.closed.append(False)
            case BlockStop(index):
                self._settle(index)
                self.closed[index] = True
            case MessageStart(message):
                self.started = True
                self.message_id = str(message.get("id", ""))
                self.model = str(message.get("model", ""))
                self._count(message.get("usage") or {})
            case MessageDelta(delta, usage):
                self.stop_reason = delta.get("stop_reason") or self.stop_reason
                self.stop_sequence = delta.get("stop_sequence") or self.stop_sequence
                self._count(usage)

    def content(self) -> list[Block]:
        """The blocks so far; a tool call cut in the middle of its arguments is left out."""
        for index in range(len(self.blocks)):
            self._settle(index)
        return [
            block
            for block, closed in zip(self.blocks, self.closed, strict=True)
            if not (block["type"] == "tool_use" and not closed) and not (block["type"] == "text" and not block.get("text"))
        ]

    @property
    def shown(self) -> bool:
        """Whether a reader has seen anything of it."""
        return any(
            buffer or block.get("text") or block.get("thinking") or block["type"] == "tool_use"
            for block, buffer in zip(self.blocks, self.buffers, strict=True)
        )

    def _count(self, usage: dict[str, Any]) -> None:
        # Figures are cumulative: a later one replaces an earlier one, a missing one changes nothing.
        self.usage.update({name: value for name, value in usage.items() if value is not None})

    def _grow(self, index: int, delta: Delta) -> None:
        match delta:
            case TextDelta(text):
                self.buffers[index].append(text)
            case ThinkingDelta(text):
                self.buffers[index].append(text)
            case InputJsonDelta(text):
                self.buffers[index].append(text)
            case SignatureDelta(signature):
                self.blocks[index]["signature"] = self.blocks[index].get("signature", "") + signature

    def _settle(self, index: int) -> None:
        block, buffer = self.blocks[index], self.buffers[index]
        if not buffer:
            return
        text = "".join(buffer)
        match block["type"]:
            case "text":
                block["text"] = block.get("text", "") + text
            case "thinking":
                block["thinking"] = block.get("thinking", "") + text
            case "tool_use":
                try:
                    block["input"] = msgspec.json.decode(text)
                except msgspec.DecodeError:
                    if not self.closed[index]:
                        return  # still arriving
                    block["input"] = {}
                    block["invalid_input"] = text
        buffer.clear()


def text_of(blocks: list[Block]) -> str:
    """The visible text of a message."""
    return "\n\n".join(block["text"] for block in blocks if block.get("type") == "text")
