"""History made fit for any provider: canonical messages in, canonical messages out, with the rules that all of them share."""

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from threads.blocks import Block

Message = dict[str, Any]

NAME_LIMIT = 64
INTERRUPTED = "No result: the call was interrupted."


def prepared(messages: Iterable[Message], keep: Callable[[Block], Block | None]) -> list[Message]:
    """Blocks that `keep` passes on, without empty messages, roles in turn, and one result right after every tool call.

    What a provider refuses is repaired, because a chat that cannot go on is worse than one with a gap: failed and stopped
    answers leave messages without blocks, calls without results, and two questions in a row.
    """
    merged: list[Message] = []
    for message in messages:
        blocks = [kept for block in message["content"] if not _blank(block) and (kept := keep(block)) is not None]
        if not blocks:
            continue
        if merged and merged[-1]["role"] == message["role"]:
            merged[-1]["content"] += blocks
        else:
            merged.append({"role": message["role"], "content": blocks})
    return _paired(merged)


def _blank(block: Block) -> bool:
    return block.get("type") == "text" and not block.get("text", "").strip()


def _paired(messages: list[Message]) -> list[Message]:
    out: list[Message] = []
    due: list[str] = []  # calls of the message before
    for message in messages:
        if message["role"] == "user":
            out.append({"role": "user", "content": _answered(message["content"], due)})
            due = []
            continue
        if due:  # never after merging, but a wrong history must not be sent
            out.append({"role": "user", "content": _answered([], due)})
        out.append(message)
        due = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
    if due:
        out.append({"role": "user", "content": _answered([], due)})
    return out


def _answered(blocks: list[Block], due: list[str]) -> list[Block]:
    """A user's blocks with exactly one result for each call that is due, in front."""
    results = {block["tool_use_id"]: block for block in blocks if block["type"] == "tool_result"}
    first = [results.get(id_) or {"type": "tool_result", "tool_use_id": id_, "content": INTERRUPTED, "is_error": True} for id_ in due]
    rest = [
        {"type": "text", "text": f"Result of an earlier tool call: {result_text(block)}"} if block["type"] == "tool_result" else block
        for block in blocks
        if block["type"] != "tool_result" or block["tool_use_id"] not in due
    ]
    return first + rest


def result_text(block: Block) -> str:
    """What a tool_result says, as text."""
    content = block.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


class ToolNames:
    """Tool names as providers allow them (letters, digits, `_`, `-`; at most 64) and back: `server/tool` is `server__tool`."""

    def __init__(self, tools: Iterable[dict[str, Any]]) -> None:
        self.canonical: dict[str, str] = {}
        self.allowed: dict[str, str] = {}
        for tool in tools:
            self.encode(tool["name"])

    def encode(self, name: str) -> str:
        if name not in self.allowed:
            short = re.sub(r"[^a-zA-Z0-9_-]", "_", name.replace("/", "__"))
            if len(short) > NAME_LIMIT or short in self.canonical:
                short = f"{short[: NAME_LIMIT - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
            self.allowed[name] = short
            self.canonical[short] = name
        return self.allowed[name]

    def decode(self, name: str) -> str:
        """The name as registered; one that the model made up stays as it is."""
        return self.canonical.get(name, name)
