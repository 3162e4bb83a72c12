"""The calls of one turn: each is a row before it runs, those of one message run side by side, and each comes to one outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chatai.lib.ids import uuid7
from threads import approvals, chain
from threads.blocks import ApprovalRequired, ApprovalResolved, Block, Event, ToolDone, ToolStart
from threads.replies import results, store_tools
from threads.replies.call import Call, judged
from threads.replies.carrying import Carrier
from threads.replies.store import as_json
from tools import mcp
from tools.meta import compose
from tools.rules import verdict

if TYPE_CHECKING:
    from uuid import UUID

    from threads.replies.purse import Purse
    from threads.replies.scribe import Scribe
    from threads.replies.store_tools import ApprovalRow
    from threads.replies.toolbox import Toolbox
    from tools.values import Outcome


class Calls:
    def __init__(self, scribe: Scribe, toolbox: Toolbox, purse: Purse) -> None:
        self.scribe = scribe
        self.toolbox = toolbox
        self.purse = purse
        self.carrier = Carrier(scribe, toolbox, purse, self.ask)
        self.all: list[Call] = []
        self.told: set[tuple[str, str]] = set()  # what the journal has said already: kind of event and of whom
        self.last_link, self.links = chain.START, 0
        self.linking = asyncio.Lock()

    def knock(self) -> None:
        """Somebody has answered something."""
        self.carrier.knock()

    def of(self, iteration: int) -> list[Call]:
        """The calls that the model made then, without those inside of others."""
        return [call for call in self.all if call.iteration == iteration and call.parent is None]

    # --- from the model's message to rows -----------------------------------------------------------------------------------

    async def record(self, uses: list[Block], iteration: int, answer: dict[str, Any], refuse: Outcome | None = None) -> None:
        """Store the message that asks for them, and each call, judged; `refuse` is what all of them are told instead."""
        if not self.of(iteration):
            for use in uses:
                self.all += await judged(use, iteration, len(self.all), self.toolbox, refuse)
        fresh = [call for call in self.all if call.iteration == iteration]
        for call in fresh:
            if call.outcome is not None:
                self._chain(call)
        rows = as_json([call.row() for call in fresh])
        await self.scribe.write(lambda connection, given: store_tools.ours(connection, store_tools.RECORD, given | answer), calls=rows)
        for call in fresh:
            call.stored = call.outcome is not None
        if refuse is None:
            await self._ask_about([call for call in fresh if call.waits and not call.asked])

    def _chain(self, call: Call) -> None:
        """Bind it to the one that ended before it."""
        if call.link is None:
            self.last_link = chain.link(self.last_link, call.chained(self.scribe.claimed.id))
            call.link = self.links, self.last_link
            self.links += 1

    async def _ask_about(self, waiting: list[Call]) -> None:
        for call in waiting:
            changed = bool(call.tool and call.tool.unconfirmed)
            await self.ask(call, "approval", call.arguments, {"changed": True} if changed else None, datetime.now(UTC) + approvals.LIFETIME)

    async def ask(self, call: Call, kind: str, arguments: Any, question: dict[str, Any] | None, expires_at: datetime) -> UUID:
        """Put a question to the person: a row, and then the news of it."""
        approval_id = uuid7()
        call.asked = True
        digest = approvals.digest_of(call.name, call.version, arguments)
        row = {
            "id": approval_id,
            "call_id": call.id,
            "kind": kind,
            "arguments": arguments,
            "digest": digest.hex(),
            "question": question,
            "expires_at": expires_at,
        }
        await self.scribe.write(lambda connection, values: store_tools.ours(connection, store_tools.ASK, values), asks=as_json([row]))
        told = question or {}
        event = ApprovalRequired(
            iteration=call.iteration,
            tool_use_id=call.top.tool_use_id,
            approval_id=str(approval_id),
            kind=kind,
            name=told.get("asked_by") or call.name,
            arguments=arguments,
            token=approvals.token_for(approval_id, digest),
            expires_at=int(expires_at.timestamp() * 1000),
            message=told.get("message"),
            schema=told.get("schema"),
            changed=bool(told.get("changed")),
        )
        self.scribe.tell(event)
        return approval_id

    # --- from rows to outcomes ----------------------------------------------------------------------------------------------

    async def settle(self, iteration: int) -> list[Block] | None:
        """The results of that message's calls, once each has one; None when only the person can go on."""
        while True:
            await together(self._carry(call) for call in self.of(iteration))
            waiting = [call for call in self.all if call.waits]
            if not waiting:
                return [call.result() for call in self.of(iteration)]
            if not await self._decided(waiting):
                return None

    async def _carry(self, call: Call) -> None:
        """As far as a call of the model's gets: to its end, unless it or one inside of it waits for the person."""
        if call.waits:
            return
        self._tell_once(ToolStart(call.iteration, call.tool_use_id, call.name), call.tool_use_id)
        if call.inner and call.outcome is None:
            call.attempts = 1
            await together(self._run(one) for one in call.inner if not one.waits and one.outcome is None)
            if any(one.outcome is None for one in call.inner):
                return
            parts = [(one.name, one.arguments) for one in call.inner]
            await self._end(call, compose(parts, [one.outcome for one in call.inner if one.outcome is not None]))
        elif call.outcome is None:
            await self._run(call)
        self._tell_done(call)

    async def _run(self, call: Call) -> None:
        outcome = results.INTERRUPTED if call.interrupted else await self.carrier.run(call)
        await self._end(call, outcome)

    async def _end(self, call: Call, outcome: Outcome) -> None:
        await self.carrier.keep(call, outcome)
        async with self.linking:
            self._chain(call)
            values = call.ended()
            await self.scribe.write(lambda connection, given: store_tools.ours(connection, store_tools.END, given | values))
            call.stored = True
        self.toolbox.size += call.output_bytes

    def _tell_done(self, call: Call) -> None:
        assert call.outcome is not None
        done = ToolDone(
            iteration=call.iteration,
            tool_use_id=call.tool_use_id,
            name=call.name,
            is_error=call.outcome.is_error,
            output=call.outcome.output,
            ms=call.ms,
            error_kind=call.outcome.error_kind or None,
            files=list(call.files) or None,
        )
        self._tell_once(done, call.tool_use_id)

    def _tell_once(self, event: ToolStart | ToolDone | ApprovalResolved, whose: str) -> None:
        key = type(event).__name__, whose
        if key not in self.told:
            self.told.add(key)
            self.scribe.tell(event)

    # --- what the person said -----------------------------------------------------------------------------------------------

    async def _decided(self, waiting: list[Call]) -> bool:
        """Take in what has been decided about those calls; whether anything has."""
        rows = await self.scribe.read(lambda connection: store_tools.approvals(connection, self.scribe.claimed.id))
        decided = {row.call_id: row for row in rows if row.kind == "approval" and row.state != "pending"}
        for call in waiting:
            if row := decided.get(call.id):
                await self._take_in(call, row)
        return any(call.id in decided for call in waiting)

    async def _take_in(self, call: Call, row: ApprovalRow) -> None:
        resolved = ApprovalResolved(call.iteration, call.top.tool_use_id, str(row.id), row.decision or row.state)
        self._tell_once(resolved, str(row.id))
        call.verdict_by = f"approval {row.id}"
        refusal = await self._refusal(call, row)
        if refusal is not None:
            await self._end(call, refusal)
        else:
            if call.tool is not None and call.tool.unconfirmed:
                await mcp.confirm(call.tool)
            call.allow(row.edited)

    async def _refusal(self, call: Call, row: ApprovalRow) -> Outcome | None:
        """Why the call is not made although, or because, it was decided about."""
        if row.state == "denied":
            return results.DENIED
        if row.state != "allowed":
            return results.EXPIRED
        if call.tool is None:
            return results.unknown(call.name)
        if call.tool.version != call.version:
            return results.CHANGED
        arguments = call.arguments if row.edited is None else row.edited
        ruling = await verdict(call.tool, arguments, self.toolbox.caller)
        return results.denied_by(ruling.by) if ruling.verdict == "deny" else None

    # --- ends and beginnings ------------------------------------------------------------------------------------------------

    async def close(self, iteration: int, outcome: Outcome) -> list[Block]:
        """Give every call of that message that has none this outcome; the results of all."""
        for call in self.of(iteration):
            for one in [*call.inner, call]:
                if not one.stored:
                    await self._end(one, one.outcome or outcome)
        self.tell(iteration)
        return [call.result() for call in self.of(iteration)]

    def tell(self, iteration: int) -> None:
        """Of that message's calls, which have all ended, whatever the journal does not say yet."""
        for call in self.of(iteration):
            self._tell_once(ToolStart(call.iteration, call.tool_use_id, call.name), call.tool_use_id)
            self._tell_done(call)

    def recall(self, events: Iterable[Event]) -> None:
        """What the processes before have told."""
        for event in events:
            match event:
                case ToolStart() | ToolDone():
                    self.told.add((type(event).__name__, event.tool_use_id))
                case ApprovalResolved():
                    self.told.add((type(event).__name__, event.approval_id))

    async def restore(self, iteration: int) -> None:
        """From the rows of the processes before: what ended has its outcome, what ran and may not run twice was interrupted."""
        turn_id = self.scribe.claimed.id
        rows = await self.scribe.read(lambda connection: store_tools.calls(connection, turn_id))
        asked = await self.scribe.read(lambda connection: store_tools.approvals(connection, turn_id))
        by_id: dict[Any, Call] = {}
        for row in rows:
            call = by_id[row.id] = Call.of_row(row, by_id.get(row.parent_id), await self.toolbox.find(row.name))
            self.all.append(call)
            self.toolbox.calls += not call.inner
            self.toolbox.size += row.output_bytes
        for approval in asked:
            by_id[approval.call_id].asked = True
        last = max((row for row in rows if row.chain_number is not None), key=lambda row: row.chain_number or 0, default=None)
        if last is not None and last.chain_hash is not None:
            self.last_link, self.links = bytes(last.chain_hash), (last.chain_number or 0) + 1
        unasked = [call for call in self.all if call.waits and call.iteration == iteration and not call.asked]
        await self._ask_about(unasked)


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Side by side. When one fails, or all are cancelled, none goes on."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        left = [task for task in tasks if not task.done()]
        for task in left:
            if not task.cancelling():  # a second time would break off what the first one made it tidy up
                task.cancel()
        if left:
            await asyncio.gather(*left, return_exceptions=True)
