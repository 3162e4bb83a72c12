"""What the real APIs refuse in a history (HTTP 400), so that a wrong one fails here and not in front of people."""

from __future__ import annotations

import re
from typing import Any

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MOST_ID = 40  # characters, OpenAI


def refused_by_anthropic(body: dict[str, Any]) -> str:
    """Why `/v1/messages` would answer 400 to this body; empty when it would not."""
    messages = [{**message, "content": _blocks(message["content"])} for message in body["messages"]]
    if not messages or messages[0]["role"] != "user":
        return "the first message is not the user's"
    seen: set[str] = set()
    due: list[str] = []
    for place, message in enumerate(messages):
        kinds = [block["type"] for block in message["content"]]
        if not kinds:
            return f"messages.{place}: no content"
        if any(block["type"] == "text" and not block["text"].strip() for block in message["content"]):
            return f"messages.{place}: an empty text"
        results = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        if sorted(results) != sorted(due) or kinds[: len(results)] != ["tool_result"] * len(results):
            return f"messages.{place}: results {results} for calls {due}"
        due = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        if seen.intersection(due) or len(set(due)) < len(due):
            return f"messages.{place}: an id of a call twice"
        seen.update(due)
        if place and message["role"] == messages[place - 1]["role"]:
            return f"messages.{place}: two of {message['role']} in a row"
    if due:
        return "the last message has calls without results"
    if seen and not body.get("tools"):
        return "calls of tools, and no tools"
    return _bad_tools([tool["name"] for tool in body.get("tools") or []], body.get("tool_choice"))


def refused_by_openai(body: dict[str, Any]) -> str:
    """Why `/v1/chat/completions` would answer 400 to this body; empty when it would not."""
    due: list[str] = []
    for place, message in enumerate(body["messages"]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in due:
                return f"messages.{place}: a result without its call"
            due.remove(message["tool_call_id"])
            continue
        if due:
            return f"messages.{place}: calls without results: {due}"
        due = [call["id"] for call in message.get("tool_calls") or []]
        if any(len(one) > MOST_ID for one in due) or len(set(due)) < len(due):
            return f"messages.{place}: ids {due}"
        if message["content"] in (None, "", []) and not due:
            return f"messages.{place}: no content"
    if due:
        return "the last message has calls without results"
    return _bad_tools([tool["function"]["name"] for tool in body.get("tools") or []], body.get("tool_choice"))


def _bad_tools(names: list[str], choice: Any) -> str:
    if bad := next((name for name in names if not NAME.fullmatch(name)), ""):
        return f"tools: the name {bad!r}"
    if len(set(names)) < len(names):
        return "tools: a name twice"
    return "tool_choice without tools" if choice and not names else ""


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
