"""Carrying out one call that may run: by its tool, or by the app that sent it along; priced ones are paid for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from channels.db import database_sync_to_async

from threads import attachments
from threads.approvals import APP_PATIENCE, FORM_PATIENCE
from threads.blocks import ApprovalResolved
from threads.replies import results, store_tools
from threads.replies.store import as_json
from tools.dispatch import dispatch
from tools.values import Answer, Outcome

if TYPE_CHECKING:
    from threads.replies.call import Call
    from threads.replies.purse import Purse
    from threads.replies.scribe import Scribe
    from threads.replies.toolbox import Toolbox
    from tools.values import Question

LOOK_EVERY = 1.0  # seconds, when no hint tells of an answer

Ask = Callable[["Call", str, Any, dict[str, Any] | None, datetime], Awaitable[UUID]]


class Carrier:
    def __init__(self, scribe: Scribe, toolbox: Toolbox, purse: Purse, ask: Ask) -> None:
        self.scribe = scribe
        self.toolbox = toolbox
        self.purse = purse
        self.ask = ask
        self.bell = asyncio.Event()

    def knock(self) -> None:
        self.bell.set()
        self.bell = asyncio.Event()

    async def run(self, call: Call) -> Outcome:
        """Raises nothing but Lost and CancelledError."""
        if call.kind == "client":
            call.attempts = 1
            return await self._by_app(call)
        if call.allowed:
            call.allowed, call.attempts = False, call.attempts + 1
            values = {"call": call.id, "arguments": as_json(call.arguments), "verdict_by": call.verdict_by}
            await self.scribe.write(lambda connection, given: store_tools.ours(connection, store_tools.START, given | values))
        else:
            call.attempts = 1
        if call.tool is None:  # it is gone since it was allowed
            return results.unknown(call.name)
        if call.tool.price_micros and not await self.purse.hold_call(call.id, call.tool, self.toolbox.caller):
            return results.UNPAID
        began, asked = time.monotonic(), [0.0]
        caller = replace(self.toolbox.caller, tool_use_id=call.tool_use_id, ask=lambda question: self._form(call, question, asked))
        outcome = await dispatch(call.tool, call.arguments, caller)
        took = time.monotonic() - began - asked[0]
        self.toolbox.seconds += took
        call.ms, call.attempts = round(took * 1000), max(call.attempts, outcome.attempts)
        if call.tool.price_micros:
            call.cost_micros = await self.purse.pay_call(call.id, call.tool, self.toolbox.caller, used=not outcome.is_error)
        return outcome

    async def keep(self, call: Call, outcome: Outcome) -> None:
        """The outcome, small enough and with its files stored, as the call's."""
        call.outcome = results.fitted(outcome)
        call.output_bytes = results.size_of(call.outcome)
        if outcome.blocks and not call.inner:
            claimed = self.scribe.claimed
            call.files = await database_sync_to_async(attachments.keep_made)(claimed.user_id, claimed.thread_id, outcome.blocks)

    async def _by_app(self, call: Call) -> Outcome:
        until = (call.started_at or datetime.now(UTC)) + APP_PATIENCE

        async def look() -> Any:
            return (await self.scribe.read(lambda connection: store_tools.answers(connection, self.scribe.claimed.id))).get(call.id)

        answer = await self._until(look, until)
        if not isinstance(answer, Mapping):
            return results.LATE
        return Outcome(answer.get("output"), is_error=bool(answer.get("is_error")))

    async def _form(self, call: Call, question: Question, asked: list[float]) -> Answer:
        """What the person fills in; the tool waits with its connection open."""
        began = time.monotonic()
        until = datetime.now(UTC) + FORM_PATIENCE
        told = {"asked_by": question.asked_by, "message": question.message, "schema": dict(question.schema)}
        approval_id = await self.ask(call, "form", {}, told, until)

        async def look() -> store_tools.ApprovalRow | None:
            rows = await self.scribe.read(lambda connection: store_tools.approvals(connection, self.scribe.claimed.id))
            return next((row for row in rows if row.id == approval_id and row.state != "pending"), None)

        row = await self._until(look, until)
        asked[0] += time.monotonic() - began
        decision = row.decision if row else "expired"
        self.scribe.tell(ApprovalResolved(call.iteration, call.top.tool_use_id, str(approval_id), decision))
        if row is None or row.state != "answered":
            return Answer("cancel")
        content = row.edited if isinstance(row.edited, Mapping) else {}
        match row.decision:
            case "accept":
                return Answer("accept", content)
            case "decline":
                return Answer("decline")
        return Answer("cancel")

    async def _until(self, look: Callable[[], Awaitable[Any]], until: datetime) -> Any:
        """What `look` finds, as soon as it is there; None when it is not by then."""
        while True:
            bell = self.bell
            if (found := await look()) is not None:
                return found
            left = (until - datetime.now(UTC)).total_seconds()
            if left <= 0:
                return None
            try:
                async with asyncio.timeout(min(left, LOOK_EVERY)):
                    await bell.wait()
            except TimeoutError:
                continue
