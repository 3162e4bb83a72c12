"""The money of one turn while it is answered: no call that its hold does not cover, and every call of it counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
from psycopg_pool import AsyncConnectionPool

from billing import estimate
from billing.gates import Grant
from billing.pricing import exact_micros, rounded_up
from billing.side_calls import SideCall, capped, line_values, reserve_values, settle_values
from billing.statements import RESERVE
from billing.versions import version_id
from threads import side_costs
from threads.blocks import BlockDelta, BlockStart, Event, IterationStart, MessageDelta, MessageStart, Other
from threads.providers.base import ProviderError
from threads.replies import store
from threads.replies.claims import Claimed
from threads.replies.meter import CHARS_PER_TOKEN, Meter, total

if TYPE_CHECKING:
    from uuid import UUID

    from threads.providers.base import Request
    from threads.replies.scribe import Scribe
    from tools.values import Caller, Tool

OF_A_CALL = (MessageStart, BlockStart, BlockDelta, MessageDelta)  # what a provider has said


class Purse:
    """What is held for a turn, and what its calls have used so far, those of earlier attempts among them."""

    def __init__(self, claimed: Claimed, scribe: Scribe) -> None:
        self.claimed = claimed
        self.scribe = scribe
        self.held = claimed.held_micros
        self.output = claimed.held_output
        self.input_tokens = claimed.held_input or 0
        self.calls: list[Meter] = []
        self.page = 0  # how many of them are of earlier iterations,
        self.turned_at = 0  # and what those have cost, in micro-dollars
        self.tools_cost = 0  # what tools have cost, by lines of their own

    def recall(self, events: Iterable[tuple[int, Event | Other]]) -> None:
        """Count the calls of earlier attempts from (epoch, event) of the journal; all they received is in it.

        An epoch that rose without another attempt (a lease that lapsed and was taken anew) is still the same call.
        """
        last: int | None = None
        again = self.claimed.attempts - self.claimed.waits - 2  # attempts that may have begun in the middle of a call
        for epoch, event in events:
            if isinstance(event, IterationStart):
                self.turn_page()
            if not isinstance(event, OF_A_CALL):
                continue
            if len(self.calls) == self.page:
                self.begin()
            elif epoch != last and again > 0:
                again -= 1
                self.begin()
            last = epoch
            self.calls[-1].add(event)

    def turn_page(self) -> None:
        """What is called from here on is the next iteration."""
        self.page, self.turned_at = len(self.calls), self.cost()

    def begin(self) -> Meter:
        """The meter of the call that is made now."""
        self.calls.append(Meter())
        return self.calls[-1]

    async def cover(self, request: Request) -> Request:
        """The request as the hold can pay for it: as it is, or with less output. Raises ProviderError (402) when it cannot, or Lost.

        A conversation that became longer than the hold thought takes another hold in its place.
        """
        price, wanted = self.claimed.price, request.max_tokens
        tokens = estimate.input_bound(request.messages, request.system, request.tools, request.model.context_window)
        fewest = estimate.fewest(wanted, request.options)
        so_far = self.cost()
        self.input_tokens = tokens
        affords = -1 if self.held is None else estimate.affordable(price, tokens, self.held - so_far)
        if affords < min(wanted, self.output or wanted):
            grant = await self._hold_anew(request, tokens, fewest, so_far)
            if grant.micros is not None:
                self.held, self.output = grant.micros, grant.output_tokens
                affords = estimate.affordable(price, tokens, grant.micros - so_far)
            elif affords < fewest:
                raise ProviderError("billing_error", grant.shortfall().message, False, status=402)
        return replace(request, max_tokens=min(wanted, affords))

    async def _hold_anew(self, request: Request, tokens: int, fewest: int, so_far: int) -> Grant:
        price = self.claimed.price
        values = {
            "hold": self.claimed.id,
            "hold_kind": "turn",
            "hold_lease": estimate.HOLD_LEASE,
            "user": self.claimed.user_id,
            "key": self.claimed.key_id,
            "input_tokens": tokens,
            "max_tokens": request.max_tokens,
            "fewest": fewest,
            "so_far": so_far,
            "model": self.claimed.model,
            "price": store.as_json(price),
            "price_version": version_id(self.claimed.model, price),
            **estimate.rate_values(price, tokens),
        }
        return await self.scribe.write(_asked, **values)

    def usage(self) -> dict[str, int]:
        """Of all calls together; empty when no provider began to answer."""
        return total(self._figures(self.calls))

    def iteration_usage(self) -> dict[str, int]:
        return total(self._figures(self.calls[self.page :]))

    def cost(self) -> int:
        """Micro-dollars, each call by its own length; never more than what is held."""
        cost = rounded_up(exact_micros(figures, self.claimed.price) for figures in self._figures(self.calls))
        return capped(cost, self.held or 0, self.claimed.id)

    def iteration_cost(self) -> int:
        return self.cost() - self.turned_at

    async def hold_call(self, call_id: UUID, tool: Tool, caller: Caller) -> bool:
        """Whether the price of one call of a tool is held now."""
        return await reserve_side_call(self.scribe.pool, _priced(call_id, tool, caller))

    async def pay_call(self, call_id: UUID, tool: Tool, caller: Caller, used: bool) -> int:
        """What it has cost, in micro-dollars: nothing when it did not do what it was called for."""
        cost = await settle_side_call(self.scribe.pool, _priced(call_id, tool, caller), {"input_tokens": 1} if used else {})
        self.tools_cost += cost
        return cost

    def closing(self, provider: str, content: Any) -> dict[str, Any]:
        """What FINISH needs to settle the turn."""
        usage = self.usage()
        context = self.input_tokens + len(msgspec.json.encode(content)) if usage else None
        return {"context_tokens": context, **line_values(usage, self.cost(), provider, self.claimed.model)}

    def _figures(self, calls: list[Meter]) -> list[dict[str, int]]:
        estimated = self.input_tokens // CHARS_PER_TOKEN
        return [figures for call in calls if (figures := call.figures(estimated))]


def _priced(call_id: UUID, tool: Tool, caller: Caller) -> SideCall:
    """A call as one token of the price of a call; its hold and its line have the call's own id, so it is paid for once."""
    return SideCall(
        kind="tool",
        id=call_id,
        user_id=caller.user_id,
        key_id=caller.key_id,
        thread_id=caller.thread_id,
        turn_id=caller.turn_id,
        end_user_id=caller.end_user_id,
        provider="tool",
        model=tool.name[:100],
        price={"input": str(tool.price_micros), "output": "0", "cache_read": "0", "cache_write": "0"},
        input_tokens=1,
        max_tokens=0,
    )


async def _asked(connection: store.Connection, values: dict[str, Any]) -> Grant | None:
    """None: the turn is not ours (any more)."""
    grant = await reserve(connection, store.HOLD, values)
    return grant if grant.asked else None


async def reserve(connection: store.Connection, statement: str, values: dict[str, Any]) -> Grant:
    cursor = await connection.execute(statement, values)
    return Grant(*(await cursor.fetchone() or ()))


async def reserve_side_call(pool: AsyncConnectionPool[Any], call: SideCall) -> bool:
    """Whether the whole price of the call is held now."""
    grant = await store.patiently(pool, lambda connection: reserve(connection, RESERVE, reserve_values(call)))
    return grant.micros is not None


async def settle_side_call(pool: AsyncConnectionPool[Any], call: SideCall, usage: dict[str, int]) -> int:
    """Settle what was held, counted in its conversation; the cost in micro-dollars."""
    values = settle_values(call, usage)
    await store.patiently(pool, lambda connection: connection.execute(side_costs.SETTLE, values))
    return int(values["cost"])
