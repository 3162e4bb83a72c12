"""The four tools of `dynamic` mode. Whatever is registered, the model is told of these and no more, so the prompt stays its size."""

from __future__ import annotations

import json
from typing import Any

from tools.values import Outcome, Tool, ToolError

MOST_CALLS = 20
MOST_NAMES = 20
MOST_RESULTS = 25

SEARCH = Tool(
    name="qlaud_search_tools",
    description=(
        "Find tools for what the person wants: current information, calculations, files, messages, tickets, calendars, anything outside "
        "of this conversation. Returns names and descriptions. Then use qlaud_get_tool_schemas."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "intent": {
                "type": "string",
                "description": "What should be done, in a few words, in English.",
                "minLength": 1,
                "maxLength": 1000,
            },
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST_RESULTS, "default": 8},
        },
        "required": ["intent"],
    },
    kind="meta",
    writes=False,
    repeatable=True,
    version="1",
)
SCHEMAS = Tool(
    name="qlaud_get_tool_schemas",
    description="What arguments tools take, as JSON Schema. Ask before the first use of each tool.",
    input_schema={
        "type": "object",
        "properties": {
            "names": {
                "type": "array",
                "items": {"type": "string"},
                "maxItems": MOST_NAMES,
                "description": "Names as qlaud_search_tools gave them.",
            },
            "tools": {"type": "array", "items": {"type": "string"}, "maxItems": MOST_NAMES, "description": "The same as names."},
        },
    },
    kind="meta",
    writes=False,
    repeatable=True,
    version="1",
)
EXECUTE = Tool(
    name="qlaud_multi_execute",
    description=(
        "Run tools. Calls that do not depend on each other go together and run at the same time; results come in the same order. "
        "The person may be asked before something is changed."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "calls": {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_CALLS,
                "items": {
                    "type": "object",
                    "properties": {"tool": {"type": "string"}, "args": {"type": "object", "description": "As its schema says."}},
                    "required": ["tool"],
                },
            }
        },
        "required": ["calls"],
    },
    kind="meta",
    writes=False,
    version="1",
    seconds=600.0,
)
CONNECTIONS = Tool(
    name="qlaud_manage_connections",
    description=(
        "Accounts of the person at other services. When a tool is not connected: `connect` gives an address; give it to the person as a "
        "link, they sign in there. Never ask for passwords or keys in the chat. `status`, `list` and `disconnect` do what they say."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "action": {"type": "string", "enum": ["status", "connect", "list", "disconnect"]},
            "tool": {"type": "string", "description": "The tool or service, such as qlaud-mcp/linear. Not for list."},
        },
        "required": ["action"],
    },
    kind="meta",
    writes=False,
    version="1",
)
META = (SEARCH, SCHEMAS, EXECUTE, CONNECTIONS)
NAMES = frozenset(tool.name for tool in META)


def expand(arguments: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The calls inside of qlaud_multi_execute, as (tool, arguments). Raises ToolError when that is not what they are."""
    calls = arguments.get("calls")
    if isinstance(calls, str):  # some models write lists as text
        calls = _read(calls)
    if not isinstance(calls, list) or not calls:
        raise ToolError('`calls` is a list of {"tool": name, "args": {…}} with at least one entry.', "invalid")
    if len(calls) > MOST_CALLS:
        raise ToolError(f"`calls` has at most {MOST_CALLS} entries.", "invalid")
    return [_call(number, one) for number, one in enumerate(calls)]


def _call(number: int, call: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(call, dict) or not isinstance(call.get("tool"), str):
        raise ToolError(f'calls/{number} is an object {{"tool": name, "args": {{…}}}}.', "invalid")
    args = call.get("args", call.get("arguments", {}))
    if isinstance(args, str):
        args = _read(args) if args.strip() else {}
    if not isinstance(args, dict):
        raise ToolError(f"calls/{number}/args is an object.", "invalid")
    return call["tool"], args


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def compose(calls: list[tuple[str, dict[str, Any]]], outcomes: list[Outcome]) -> Outcome:
    """What qlaud_multi_execute answers: the results in the order of the calls; an error only when nothing went well."""
    results = [
        {"tool": name, "output": outcome.output, "is_error": outcome.is_error} for (name, _), outcome in zip(calls, outcomes, strict=True)
    ]
    blocks = tuple(block for outcome in outcomes for block in outcome.blocks)
    failed = all(outcome.is_error for outcome in outcomes)
    return Outcome({"results": results}, is_error=failed, blocks=blocks, cut=any(outcome.cut for outcome in outcomes))
