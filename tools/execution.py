"""Calls that an app makes itself, outside of any conversation. Each is a row before it runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.utils import timezone

from tools import discovery, rules
from tools.database import in_thread
from tools.dispatch import dispatch, failure
from tools.meta import compose, expand
from tools.models import DirectCall
from tools.rules import DEFAULT, Ruling
from tools.shelf import Shelf, caller_shelf
from tools.values import Caller, Outcome, Tool

KEPT = timedelta(days=90)


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
    row = await in_thread(_record, tool, arguments, caller, ruling)
    outcome = _refusal(tool, ruling) or await dispatch(tool, arguments, replace(caller, tool_use_id=f"call_{row.pk.hex}"))
    await in_thread(_complete, row, outcome)
    return outcome


def _refusal(tool: Tool, ruling: Ruling) -> Outcome | None:
    if ruling.verdict == "deny":
        return failure(f"A rule forbids {tool.name}.", "denied")
    if ruling.verdict == "ask" and ruling.by != DEFAULT:  # the rule wants a person, and here is none
        return failure(f"{tool.name} has to be approved by a person, in a conversation.", "denied")
    if tool.price_micros:
        return failure(f"{tool.name} is charged for, and runs in conversations only.", "denied")
    return None


def _record(tool: Tool, arguments: dict[str, Any], caller: Caller, ruling: Ruling) -> DirectCall:
    assert caller.key_id is not None  # there is no other way in
    return DirectCall.objects.create(
        user_id=caller.user_id,
        key_id=caller.key_id,
        request_id=caller.request_id[:255],
        name=tool.name,
        kind=tool.kind,
        source=tool.source,
        version=tool.version,
        arguments=arguments,
        allowed_by=ruling.by,
    )


def _complete(row: DirectCall, outcome: Outcome) -> None:
    row.output, row.is_error, row.error_kind = outcome.output, outcome.is_error, outcome.error_kind
    row.credential, row.http_status, row.attempts = outcome.credential, outcome.http_status, outcome.attempts
    row.finished_at = timezone.now()
    row.save(update_fields=["output", "is_error", "error_kind", "credential", "http_status", "attempts", "finished_at"])


def forget() -> int:
    """Erase what is older than KEPT; how many there were."""
    return DirectCall.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
