"""From one message of the model to the next: the calls it asks for are recorded, carried out and answered, until it asks for none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from chatai.lib import hints
from chatai.lib.ids import uuid7
from threads.blocks import (
    ApprovalRequired,
    ApprovalResolved,
    Block,
    Event,
    IterationStart,
    Other,
    Partial,
    ToolDone,
    ToolStart,
)
from threads.replies import results, store_tools
from threads.replies.calls import Calls
from threads.replies.store import as_json
from threads.replies.toolbox import Toolbox, empty_toolbox, offered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from threads.providers.base import ModelInfo
    from threads.replies.purse import Purse
    from threads.replies.scribe import Scribe
    from tools.values import Outcome


class Loop:
    """Where a turn is: which message is being written, and what came of the calls of those before."""

    def __init__(self, scribe: Scribe, purse: Purse, info: ModelInfo) -> None:
        self.scribe = scribe
        self.claimed = scribe.claimed
        self.purse = purse
        self.info = info
        self.partial = Partial()
        self.iteration = 1
        self.last = False  # the message that is written now is the last one: a limit is reached, and no tool may be called
        self.left = False  # the turn waits for a person, and is nobody's
        self.recorded = False  # the message is stored, and its calls
        self.results_id: UUID | None = None  # of the row with the results of this message, if that is there already
        self.ids: set[str] = set()
        self.first_token_at: datetime | None = None
        self.toolbox: Toolbox | None = None
        self.calls: Calls | None = None
        self.told: list[Event] = []  # what earlier processes said of calls

    async def open(self) -> None:
        """Find out what may be called. Raises ProviderError."""
        if self.toolbox is None:
            self.toolbox = empty_toolbox(self.claimed)
            self.toolbox.offered = await offered(self.claimed, self.info, self.toolbox.caller)

    @property
    def definitions(self) -> list[dict[str, Any]]:
        return self.toolbox.definitions if self.toolbox else []

    def choice(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of the next call: who must call a tool must do so once, and in the end nobody may.

        The tools are described to the last, because providers refuse a history with calls of tools that they are not told of.
        """
        chosen = dict(options)
        if self.last:
            chosen["tool_choice"] = {"type": "none"}
        elif self.iteration > 1 and (chosen.get("tool_choice") or {}).get("type") in ("any", "tool"):
            chosen["tool_choice"] = {"type": "auto"}
        return chosen

    def name(self, block: Block) -> None:
        """Give a call that has just begun an id that is its own."""
        block["id"] = results.own_id(str(block.get("id") or ""), self.ids)

    def knock(self) -> None:
        if self.calls is not None:
            self.calls.knock()

    # --- going on -----------------------------------------------------------------------------------------------------------

    async def goes_on(self) -> bool:
        """Carry out what the message asks for; whether the model is called again. Raises Lost."""
        uses = results.asked(self.partial)
        if not uses:
            return False
        calls = await self._record(uses, results.TOO_MANY if self.last else None)
        while (answers := await calls.settle(self.iteration)) is None:
            await self.scribe.journal.flush(self.scribe.line)
            if await self.scribe.write(store_tools.wait, first_token_at=self.first_token_at):
                self.left = True
                hints.announce("live", "turns", f"{self.claimed.thread_id}/{self.claimed.id}")
                return False
            await asyncio.sleep(0.1)  # somebody decided meanwhile, or asked to stop, which comes as a cancellation
        if self.last:
            await self._follow(answers, further=False)
            return False
        await self._follow(answers, further=True)
        return True

    async def _record(self, uses: list[Block], refuse: Outcome | None) -> Calls:
        calls = self._calls()
        if self.recorded:
            return calls
        answer = {
            "answer": self.claimed.answer_id,
            "content": as_json(self.partial.content()),
            "model": self.claimed.model,
            "stop_reason": self.partial.stop_reason or "",
            "usage": as_json(self.purse.iteration_usage()),
            "cost": self.purse.iteration_cost(),
        }
        # First every word of it: who takes over reads from the journal what was asked for, and would ask the model again for
        # what is being carried out.
        await self.scribe.journal.flush(self.scribe.line)
        await calls.record(uses, self.iteration, answer, refuse)
        self.recorded = True
        return calls

    def _calls(self) -> Calls:
        assert self.toolbox is not None
        if self.calls is None:
            self.calls = Calls(self.scribe, self.toolbox, self.purse)
        return self.calls

    async def _follow(self, answers: list[Block], further: bool) -> None:
        """Store the results and, with `further`, begin the next message.

        To the end even when the turn is to stop: broken off, nobody could tell whether the rows are there, and they would come twice.
        """
        following = asyncio.ensure_future(self._followed(answers, further))
        try:
            await asyncio.shield(following)
        except asyncio.CancelledError:
            await following
            raise

    async def _followed(self, answers: list[Block], further: bool) -> None:
        results_id, answer_id = self.results_id or uuid7(), uuid7()
        values = {
            "ids": [results_id, answer_id][: 1 + further],
            "roles": ["user", "assistant"][: 1 + further],
            "contents": [as_json(answers), "[]"][: 1 + further],
            "model": self.claimed.model,
        }
        seqs = await self.scribe.write(lambda connection, given: store_tools.follow(connection, given | values))
        self.results_id = results_id
        if further:
            self.claimed.answer_id, self.claimed.answer_seq = answer_id, seqs[answer_id]
            self._begin()

    def _begin(self) -> None:
        """The next iteration."""
        assert self.toolbox is not None
        self.iteration += 1
        self.last = self.toolbox.spent(self.iteration - 1, self.purse.cost() + self.purse.tools_cost)
        self.partial, self.recorded, self.results_id = Partial(), False, None
        self.purse.turn_page()
        self.scribe.tell(IterationStart(self.iteration))

    # --- ends and beginnings ------------------------------------------------------------------------------------------------

    async def close(self, outcome: Outcome) -> None:
        """Before the turn ends: no call without a result. Raises Lost."""
        uses = results.asked(self.partial) if self.toolbox else []
        if not uses:
            return
        calls = await self._record(uses, outcome)
        answers = await calls.close(self.iteration, outcome)
        if self.results_id is None:
            await self._follow(answers, further=False)

    def recall(self, event: Event | Other) -> None:
        """An event of the processes before, in order."""
        match event:
            case IterationStart(iteration):
                self.iteration = iteration
                self.partial = Partial()
            case ToolStart() | ToolDone() | ApprovalRequired() | ApprovalResolved():
                self.told.append(event)
            case _:
                self.partial.add(event)

    async def restore(self) -> None:
        """What the rows say, behind what the journal said."""
        claimed = self.claimed
        if self.iteration == 1 and not results.asked(self.partial) and claimed.answer_seq == claimed.first_seq + 1:
            return  # nothing was called
        rows = await self.scribe.read(lambda connection: store_tools.rows(connection, claimed.id))
        for row in rows:
            self.ids |= {block["id"] for block in row.content if block["type"] == "tool_use"}
        calls = self._calls()
        calls.recall(self.told)
        self.told = []
        begun = sum(1 for row in rows if row.role == "assistant")
        await calls.restore(begun)
        self.purse.tools_cost = sum(call.cost_micros for call in calls.all)
        if begun > self.iteration:  # the process before died between the row and the word of it
            self.iteration = begun - 1
            calls.tell(self.iteration)
            self._begin()
        self.recorded = any(call.iteration == self.iteration for call in calls.all)
        if self.iteration > 1 and not self.recorded:
            assert self.toolbox is not None
            self.last = self.toolbox.spent(self.iteration - 1, self.purse.turned_at + self.purse.tools_cost)
        self.results_id = next((row.id for row in rows if row.role == "user" and row.seq > claimed.answer_seq), None)
