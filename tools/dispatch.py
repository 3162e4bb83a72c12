"""One call, from arguments to what came of it. Whatever happens there is an Outcome: the model always gets its result."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from chatai.lib.http import EgressError
from tools import connections, discovery, mcp, registry, webhooks
from tools.arguments import BadSchema, misfit
from tools.connected import WIRE_PREFIX, secret
from tools.database import in_thread
from tools.models import RegisteredTool
from tools.redaction import redact
from tools.registry import Builtin, Use, as_outcome
from tools.results import fitted
from tools.schemas import secret_names
from tools.values import Answer, Caller, Outcome, Question, Tool, ToolError

logger = logging.getLogger(__name__)

EGRESS_KINDS = {"timeout": "timeout", "network": "unavailable"}
OWN_CLOCK = ("mcp", "meta")  # they keep their limit themselves


async def dispatch(tool: Tool, arguments: dict[str, Any], caller: Caller) -> Outcome:
    """Runs a call that is allowed. Raises nothing but CancelledError."""
    try:
        if wrong := misfit(tool.input_schema, arguments):
            return failure(wrong, "invalid")
        async with asyncio.timeout(None if tool.kind in OWN_CLOCK else tool.seconds) as clock:
            return fitted(await _run(tool, arguments, _stopping(clock, caller)))
    except ToolError as error:
        return failure(error.message, error.kind, error.http_status)
    except BadSchema as error:
        return failure(f"The schema of {tool.name} cannot be used: {error}", "invalid")
    except EgressError as error:
        return failure(error.message, EGRESS_KINDS.get(error.kind, "refused"))
    except TimeoutError:
        return failure(f"{tool.name} did not answer within {tool.seconds:g} seconds.", "timeout")
    except Exception as error:  # a tool's own fault must not end the turn, and its words may hold a secret
        last = traceback.extract_tb(error.__traceback__)[-1]
        logger.error("tool %s failed: %s at %s:%s", tool.name, type(error).__name__, last.filename, last.lineno)
        return failure(f"{tool.name} failed. This is a fault of the tool, not of the arguments.", "crash")


def _stopping(clock: asyncio.Timeout, caller: Caller) -> Caller:
    """The caller, whose answer to a question does not count as time of the tool."""
    ask = caller.ask
    if ask is None:
        return caller

    async def ask_in_peace(question: Question) -> Answer:
        loop, until = asyncio.get_running_loop(), clock.when()
        left = None if until is None else until - loop.time()
        clock.reschedule(None)
        try:
            return await ask(question)
        finally:
            clock.reschedule(None if left is None else loop.time() + left)

    return replace(caller, ask=ask_in_peace)


def failure(message: str, kind: str, http_status: int | None = None) -> Outcome:
    """An Outcome that tells the model what went wrong."""
    return fitted(Outcome(message, is_error=True, error_kind=kind, http_status=http_status))


async def _run(tool: Tool, arguments: dict[str, Any], caller: Caller) -> Outcome:
    if tool.kind == "builtin":
        return await _run_builtin(tool, arguments, caller)
    if tool.kind == "webhook":
        row, signing = await in_thread(_unsealed, tool, caller)
        outcome = await webhooks.call(row.wire_id, row.webhook_url, signing, row.timeout_ms, tool, arguments, caller)
        return replace(outcome, output=redact(outcome.output, [signing]))
    if tool.kind == "meta":
        return await discovery.run(tool, arguments, caller)
    if tool.kind == "mcp":
        return await mcp.call(tool, arguments, caller)
    raise ToolError(f"{tool.name} is run by whoever offered it.", "unknown")


async def _run_builtin(tool: Tool, arguments: dict[str, Any], caller: Caller) -> Outcome:
    one = registry.builtin(tool.provider)
    if one is None:
        raise ToolError(f"{tool.name} is not part of this product any more.", "unknown")
    if tool.input_schema != one.input_schema and (wrong := misfit(one.input_schema, arguments)):
        raise ToolError(wrong, "invalid")  # who registered it may narrow what it takes, not widen it
    config, credential = await _config(one, tool, caller)
    hidden = [str(config[name]) for name in secret_names(one.config_schema) if config.get(name)]
    try:
        outcome = as_outcome(await one.run(arguments, Use(caller, config)))
    except ToolError as error:
        raise ToolError(redact(error.message, hidden), error.kind, error.http_status) from None
    return replace(outcome, output=redact(outcome.output, hidden), credential=outcome.credential or credential)


async def _config(one: Builtin, tool: Tool, caller: Caller) -> tuple[Mapping[str, Any], str]:
    """The settings it runs with, and what records of the call name them."""
    if tool.source.startswith(WIRE_PREFIX):
        row, config = await in_thread(_unsealed, tool, caller)
        if row.auth_mode == RegisteredTool.AuthMode.TENANT:
            return json.loads(config or "{}"), "tenant" if config else ""
    if one.auth_mode in ("per_user", "either"):
        try:
            return await connections.config_of(caller, one)
        except ToolError as error:
            if error.kind != "not_connected" or not one.open:
                raise
    return {}, ""


def _unsealed(tool: Tool, caller: Caller) -> tuple[RegisteredTool, str]:
    """Its row, read again so that a tool revoked while the turn ran is not used, and what is sealed in it."""
    row = RegisteredTool.objects.for_user(caller.user_id).filter(pk=UUID(hex=tool.source.removeprefix(WIRE_PREFIX))).first()
    if row is None:
        raise ToolError(f"{tool.name} has been removed.", "unknown")
    return row, secret(row)
