"""What a call of a tool does, in a few words: its name as a person would say it, and the argument that tells most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.registry import builtin

OWN = "chatai"  # the brand of tools that are nobody else's
MOST = 120  # characters of what is said about the arguments
META = {
    "qlaud_search_tools": "Looking for tools",
    "qlaud_get_tool_schemas": "Reading how tools work",
    "qlaud_multi_execute": "Using tools",
    "qlaud_manage_connections": "Connections",
}
# Arguments that tell what a call is about, the most telling first; without one of them it is the first text.
TELLING = ("query", "q", "intent", "expression", "url", "title", "subject", "name", "city", "location", "text", "message", "code")


def label_of(name: str) -> str:
    """`linear/create_issue` as "Linear: create issue"; a built-in by the name it is listed under."""
    if name in META:
        return META[name]
    if (known := builtin(name)) is not None:
        said = known.display_name
        return said if known.brand == OWN or known.brand in said else f"{known.brand}: {said[:1].lower()}{said[1:]}"
    server, _, tool = name.rpartition("/")
    said = tool.replace("_", " ").replace("-", " ").strip() or name
    return f"{_capital(server.rpartition('/')[2])}: {said}" if server else _capital(said)


def doing(name: str, arguments: Any) -> str:
    """One line about the arguments; empty when they tell nothing."""
    if not isinstance(arguments, Mapping):
        return ""
    if name == "qlaud_multi_execute":
        return _line(", ".join(label_of(inner) for inner, _ in inner_calls(arguments)))
    if name == "qlaud_get_tool_schemas":
        names = arguments.get("names") or arguments.get("tools")
        return _line(", ".join(map(str, names))) if isinstance(names, list) else ""
    if name == "qlaud_manage_connections":
        return _line(f"{arguments.get('action', '')} {arguments.get('tool', '')}".strip())
    told = [arguments[key] for key in TELLING if isinstance(arguments.get(key), str)]
    texts = told or [value for value in arguments.values() if isinstance(value, str)]
    return _line(texts[0]) if texts else ""


def inner_calls(arguments: Any) -> list[tuple[str, Any]]:
    """The name and arguments of every call inside a `qlaud_multi_execute`, as far as the model wrote them right."""
    calls = arguments.get("calls") if isinstance(arguments, Mapping) else None
    if not isinstance(calls, list):
        return []
    return [(call["tool"], call.get("args", {})) for call in calls if isinstance(call, Mapping) and isinstance(call.get("tool"), str)]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _line(text: str) -> str:
    line = " ".join(text[: 4 * MOST].split())
    return line if len(line) <= MOST else f"{line[:MOST].rstrip()}…"
