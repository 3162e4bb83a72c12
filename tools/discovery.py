"""What the meta-tools answer, which is also what their REST twins answer: which tools there are, what they take, what is connected."""

from __future__ import annotations

from typing import Any

from tools import connections, finding, rules
from tools.database import in_thread
from tools.meta import CONNECTIONS, MOST_NAMES, MOST_RESULTS, SCHEMAS, SEARCH
from tools.shelf import Shelf, caller_shelf, shelf_of
from tools.values import Caller, Found, Outcome, Tool, ToolError

DEFAULT_RESULTS = 8
MOST_DESCRIPTION = 300  # characters; the whole of it comes with the schema


async def run(tool: Tool, arguments: dict[str, Any], caller: Caller) -> Outcome:
    """A meta-tool other than qlaud_multi_execute, whose calls the turn makes itself. Raises ToolError."""
    match tool.name:
        case SEARCH.name:
            return Outcome(await search(caller, arguments["intent"], arguments.get("limit") or DEFAULT_RESULTS))
        case SCHEMAS.name:
            return Outcome(await schemas(caller, arguments.get("names") or arguments.get("tools") or []))
        case CONNECTIONS.name:
            return Outcome(await connections.manage(caller, arguments["action"], arguments.get("tool", "")))
    raise ToolError(f"{tool.name} cannot be run by itself.", "unknown")


async def search(caller: Caller, intent: str, limit: int = DEFAULT_RESULTS) -> dict[str, Any]:
    """Names and descriptions, the best first, without what a rule denies."""
    on, denied = await in_thread(_look, caller)
    found = await finding.search(on.index, intent, min(max(limit, 1), MOST_RESULTS), denied)
    return {"results": [_row(one) for one in found]}


def _look(caller: Caller) -> tuple[Shelf, set[str]]:
    """The caller's shelf, and the names on it that a rule denies."""
    on = shelf_of(caller)
    deny = [rule for rule in rules.rules_for(caller.user_id, caller.thread_id) if rule.verdict == "deny"]
    return on, {name for name, tool in on.tools.items() if rules.decide(tool, deny).verdict == "deny"} if deny else set()


def _row(found: Found) -> dict[str, Any]:
    description = found.description if len(found.description) <= MOST_DESCRIPTION else f"{found.description[:MOST_DESCRIPTION]}…"
    connection = {} if found.connected is None else {"connected": found.connected}
    return {"name": found.name, "description": description, "kind": found.kind, **connection}


async def schemas(caller: Caller, names: list[str]) -> dict[str, Any]:
    """What each tool takes. Raises ToolError when no name was given, or too many."""
    if not names or len(names) > MOST_NAMES:
        raise ToolError(f"`names` is a list of 1 to {MOST_NAMES} names of tools.", "invalid")
    on = await caller_shelf(caller)
    return {"schemas": [_schema(on, name) for name in names]}


def _schema(on: Shelf, name: str) -> dict[str, Any]:
    tool = on.find(name)
    if tool is None:
        return {"name": name, "error": unknown(name)}
    return {"name": name, "description": tool.description, "input_schema": tool.input_schema}


def unknown(name: str) -> str:
    """What whoever asked for this tool is told."""
    if name.startswith("qlaud-mcp/"):
        return f"{name} is a service: connect it with qlaud_manage_connections, then search for its tools."
    return f"There is no tool {name[:80]!r}. Names are those that qlaud_search_tools gives."
