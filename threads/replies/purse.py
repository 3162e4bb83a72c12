"""The money of one turn while it is answered: no call that its hold does not cover, and every call of it counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
from psycopg_pool import AsyncConnectionPool

from billing import estimate
from billing.gates import Grant
from billing.pricing import cost_micros
from billing.side_calls import SideCall, capped, line_values, reserve_values, settle_values
from billing.statements import RESERVE
from billing.versions import version_id
from threads import side_costs
from threads.blocks import Event, Other
from threads.providers.base import ProviderError
from threads.replies import store
from threads.replies.meter import CHARS_PER_TOKEN, Meter, total

if TYPE_CHECKING:
    from threads.providers.base import Request
    from threads.replies.journal import Line


class TurnLost(Exception):  # noqa: N818 - no fault: the turn belongs to another process
    """Nothing more may be done for the turn here."""


class Purse:
    """What is held for a turn, and what its calls have used so far, those of earlier attempts among them.

    `line` has the turn's present epoch; `still_ours` says whether the turn is ours under another one than that.
    """

    def __init__(
        self, claimed: store.Claimed, pool: AsyncConnectionPool[Any], line: Line, still_ours: Callable[[int], Awaitable[bool]]
    ) -> None:
        self.claimed = claimed
        self.pool = pool
        self.line = line
        self.still_ours = still_ours
        self.held = claimed.held_micros
        self.output = claimed.held_output
        self.input_tokens = claimed.held_input or 0
        self.calls: list[Meter] = []

    def recall(self, events: Iterable[tuple[int, Event | Other]]) -> None:
        """Count the calls of earlier attempts from (epoch, event) of the journal; all they received is in it.

        An epoch that rose without another attempt (a lease that lapsed and was taken anew) is still the same call.
        """
        last: int | None = None
        for epoch, event in events:
            if not self.calls or (epoch != last and len(self.calls) < self.claimed.attempts - 1):
                self.calls.append(Meter())
            last = epoch
            self.calls[-1].add(event)

    def begin(self) -> Meter:
        """The meter of the call that is made now."""
        self.calls.append(Meter())
        return self.calls[-1]

    async def cover(self, request: Request) -> Request:
        """The request as the hold can pay for it: as it is, or with less output. Raises ProviderError (402) when it cannot, or TurnLost.

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
        while True:
            asking = values | {"epoch": (epoch := self.line.epoch)}
            grant = await store.patiently(self.pool, lambda connection: reserve(connection, store.HOLD, asking))  # noqa: B023
            if grant.asked:
                return grant
            if not await self.still_ours(epoch):
                raise TurnLost

    def usage(self) -> dict[str, int]:
        """Of all calls together; empty when no provider began to answer."""
        return total(self._figures())

    def cost(self) -> int:
        """Micro-dollars, each call by its own length; never more than what is held."""
        cost = sum(cost_micros(figures, self.claimed.price) for figures in self._figures())
        return capped(cost, self.held or 0, self.claimed.id)

    def closing(self, provider: str, content: Any) -> dict[str, Any]:
        """What FINISH needs to settle the turn."""
        usage = self.usage()
        context = self.input_tokens + len(msgspec.json.encode(content)) if usage else None
        return {"context_tokens": context, **line_values(usage, self.cost(), provider, self.claimed.model)}

    def _figures(self) -> list[dict[str, int]]:
        estimated = self.input_tokens // CHARS_PER_TOKEN
        return [figures for call in self.calls if (figures := call.figures(estimated))]


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
