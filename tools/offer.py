"""Which tools a turn is sent with: the meta-tools, everything the account shares, or exactly the ids that were named."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tools import registry
from tools.arguments import BadSchema, check_schema
from tools.connected import WIRE_PREFIX
from tools.meta import META, NAMES
from tools.models import McpTool, RegisteredTool
from tools.shelf import PREFIX, Shelf, caller_shelf
from tools.values import Caller, Tool

MOST_CLIENT_TOOLS = 128
META_BYTES = sum(len(json.dumps([tool.name, tool.description, tool.input_schema])) + 40 for tool in META)
CLIENT_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class UnknownTool(Exception):  # noqa: N818 - 400, with a sentence
    """A tool was named that is not there for this caller."""


class BadTool(Exception):  # noqa: N818 - 400, with a sentence
    """A tool of the caller's own is not described well enough to be offered."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the provider is told of, and how names are found again."""

    tools: list[Tool]
    caller: Caller
    everything: bool = False  # whether what is on the shelf may be reached through qlaud_multi_execute
    _named: Mapping[str, Tool] = field(default_factory=dict)

    async def find(self, name: str) -> Tool | None:
        """The tool that the model means; with the meta-tools, of all the caller may use."""
        if tool := self._named.get(name):
            return tool
        return (await caller_shelf(self.caller)).find(name) if self.everything else None


async def offer(caller: Caller, mode: str, ids: list[str] | None, client_tools: list[dict[str, Any]] | None) -> Offer:
    """`dynamic` asks the database nothing. Raises UnknownTool when one of `ids` is gone."""
    tools = own_tools(client_tools or [])
    match mode:
        case "dynamic":
            tools = [*META, *tools]
        case "tenant":
            tools = [*(await caller_shelf(caller)).tenant, *tools]
        case _:
            on = await caller_shelf(caller) if ids else None
            tools = [*(_named(on, one) for one in dict.fromkeys(ids or [])), *tools]
    named = {tool.name: tool for tool in reversed(tools)}  # a name that is there twice means the first
    return Offer(list(reversed(named.values())), caller, everything=mode == "dynamic", _named=named)


def _named(on: Shelf | None, tool_id: str) -> Tool:
    tool = on and on.ids.get(tool_id)
    if not tool:
        raise UnknownTool(f"There is no tool {tool_id[:60]!r}.")
    return tool


def mode_of(tools_mode: str | None, tools: list[str] | None) -> str:
    """`explicit` when tools are named, else `dynamic`, unless the request says which. Raises BadTool for what excludes each other."""
    if tools_mode == "tenant" and tools is not None:
        raise BadTool('tools: cannot be given together with tools_mode "tenant".')
    return tools_mode or ("dynamic" if tools is None else "explicit")


def size_of(mode: str, client_tools: list[dict[str, Any]] | None) -> int:
    """Bytes of what is sent of tools, where that is known without asking the database: the meta-tools and the request's own."""
    return (META_BYTES if mode == "dynamic" else 0) + (len(json.dumps(client_tools)) if client_tools else 0)


def own_tools(given: list[dict[str, Any]]) -> list[Tool]:
    """The `client_tools` of a request. Raises BadTool."""
    if len(given) > MOST_CLIENT_TOOLS:
        raise BadTool(f"client_tools are at most {MOST_CLIENT_TOOLS}.")
    tools = [_own_tool(one) for one in given]
    names = [tool.name for tool in tools]
    if twice := next((name for name in names if names.count(name) > 1 or name in NAMES), ""):
        raise BadTool(f"client_tools: the name {twice} is taken.")
    return tools


def _own_tool(given: dict[str, Any]) -> Tool:
    name, description, schema = (given.get(field) for field in ("name", "description", "input_schema"))
    if not isinstance(name, str) or not CLIENT_NAME.fullmatch(name):
        raise BadTool("client_tools: a name is 1 to 64 letters, digits, _ and -.")
    if not isinstance(description, str | None):
        raise BadTool(f"client_tools: the description of {name} is a string.")
    schema = {"type": "object"} if schema is None else schema
    try:
        check_schema(schema)
    except BadSchema as error:
        raise BadTool(f"client_tools: input_schema of {name}: {error}") from None
    return Tool(name, description or "", schema, "client", writes=False)


def check_ids(user_id: UUID, ids: list[str]) -> None:
    """At admission. Raises UnknownTool for the first that is not the account's or a built-in."""
    keys = {one: _key(one) for one in ids if not one.startswith(PREFIX)}
    wanted = [key for key in keys.values() if key]
    there = set(RegisteredTool.objects.for_user(user_id).filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else set()
    if rest := set(wanted) - there:
        servers = {"server__user_id": user_id, "server__revoked_at": None}
        there |= set(McpTool.objects.filter(pk__in=rest, **servers).values_list("pk", flat=True))
    for one in ids:
        builtin = registry.builtin(one) if one.startswith(PREFIX) else None
        if keys.get(one) not in there and (builtin is None or not (builtin.open or builtin.auth_mode in ("per_user", "either"))):
            raise UnknownTool(f"tools: there is no tool {one[:60]!r}.")


def _key(wire_id: str) -> UUID | None:
    try:
        return UUID(hex=wire_id.removeprefix(WIRE_PREFIX)) if wire_id.startswith(WIRE_PREFIX) else None
    except ValueError:
        return None
