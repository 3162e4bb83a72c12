"""What the provider is sent: the conversation so far, newest first until the model's window is full."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from threads.blocks import Block
    from threads.providers.base import ModelInfo

CHARS_PER_TOKEN = 3  # on the careful side: English text has about four
MOST_ROWS = 1000

BASE_SYSTEM = (
    "You are a helpful assistant. Answer in the language of the question, in Markdown. "
    "Write mathematics as $…$ or $$…$$, diagrams as mermaid code blocks. Today is {today}."
)


def build(rows: Iterable[tuple[str, list[Block]]], info: ModelInfo, max_tokens: int) -> list[dict[str, Any]]:
    """Messages, oldest first, from `rows` of (role, blocks), newest first, as many as fit beside `max_tokens` of output.

    Turns are kept or left out as a whole, so that no tool call is parted from its result and no signed thought from what it led
    to. The newest is always kept; a tool call without a result is left out.
    """
    room = max(info.context_window - max_tokens, info.context_window // 4) * CHARS_PER_TOKEN
    kept: list[dict[str, Any]] = []
    turn: list[dict[str, Any]] = []
    for role, blocks in rows:
        room -= len(msgspec.json.encode(blocks))
        if room < 0 and kept:
            break
        turn.append({"role": role, "content": blocks})
        if begins_turn(role, blocks):
            kept += turn
            turn = []
    kept = kept or turn
    kept.reverse()
    return [message for message in map(_answered, kept, [*kept[1:], None]) if message["content"]]


def begins_turn(role: str, blocks: list[Block]) -> bool:
    """Whether a person says something here, rather than a tool answering."""
    return role == "user" and any(block["type"] != "tool_result" for block in blocks)


def _answered(message: dict[str, Any], following: dict[str, Any] | None) -> dict[str, Any]:
    """The message without tool calls that the following one has no result for (their turn was cut)."""
    calls = {block["id"] for block in message["content"] if block["type"] == "tool_use"}
    if not calls:
        return message
    results = {block.get("tool_use_id") for block in following["content"]} if following else set()
    return message | {"content": [block for block in message["content"] if block["type"] != "tool_use" or block["id"] in results]}


def system_prompt(instructions: str, given: str | list[Block] | None) -> str | list[Block]:
    """What the send itself asked for, else our own words with the person's custom instructions."""
    if given is not None:
        return given
    base = BASE_SYSTEM.format(today=datetime.now(UTC).strftime("%A, %d %B %Y"))
    return f"{base}\n\nThe person asks you to keep to this:\n{instructions}" if instructions.strip() else base
