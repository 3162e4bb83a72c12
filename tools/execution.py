"""Calls that an app makes itself, without a turn."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

from tools import discovery, rules
from tools.dispatch import dispatch, failure
from tools.meta import compose, expand
from tools.rules import DEFAULT
from tools.shelf import Shelf, caller_shelf
from tools.values import Caller, Outcome


async def run_all(caller: Caller, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """The calls side by side; their results in order. Raises ToolError when they are not calls at all."""
    wanted = expand({"calls": calls})
    on = await caller_shelf(caller)
    outcomes = await asyncio.gather(*(_run(on, caller, name, arguments) for name, arguments in wanted))
    composed: dict[str, Any] = compose(wanted, outcomes).output
    return composed


async def _run(on: Shelf, caller: Caller, name: str, arguments: dict[str, Any]) -> Outcome:
    tool = on.find(name)
    if tool is None:
        return failure(discovery.unknown(name), "unknown")
    ruling = await rules.verdict(tool, arguments, caller)
    if ruling.verdict == "deny":
        return failure(f"A rule forbids {tool.name}.", "denied")
    if ruling.verdict == "ask" and ruling.by != DEFAULT:  # the rule wants a person, and here is none
        return failure(f"{tool.name} has to be approved by a person, in a conversation.", "denied")
    if tool.price_micros:
        return failure(f"{tool.name} is charged for, and runs in conversations only.", "denied")
    return await dispatch(tool, arguments, replace(caller, tool_use_id=f"call_{uuid4().hex}"))
