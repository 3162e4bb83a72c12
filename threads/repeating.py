"""Running a call of a tool once more, to see what it would bring now: only where that changes nothing."""

from __future__ import annotations

from threads.models import ToolCall
from tools.dispatch import dispatch, failure
from tools.shelf import caller_shelf
from tools.values import Caller, Outcome

REPEATED = ("builtin", "webhook", "mcp")


def refusal_to_repeat(call: ToolCall) -> str:
    """Why it is not run again; empty when it may be. What the tool says of itself now is looked at before it runs."""
    if call.finished_at is None:
        return "It has not finished."
    if call.kind not in REPEATED:
        return "It is not run by this server on its own."
    return "It may have changed something: only calls of tools that read are run again." if call.writes else ""


async def run_again(call: ToolCall) -> Outcome:
    """As its owner, with their connections. `call` with its turn and thread."""
    thread = call.turn.thread
    caller = Caller(
        user_id=thread.user_id,
        key_id=call.turn.key_id,
        end_user_id=thread.end_user_id,
        thread_id=thread.pk,
        request_id=f"again-{call.pk}",
        tool_use_id=call.tool_use_id,
        metadata=thread.metadata or {},
    )
    tool = (await caller_shelf(caller)).find(call.name)
    if tool is None:
        return failure("There is no such tool any more.", "unknown")
    if tool.writes or tool.price_micros:
        return failure("The tool writes now, or is charged for: it is not run again.", "denied")
    return await dispatch(tool, call.arguments, caller)
