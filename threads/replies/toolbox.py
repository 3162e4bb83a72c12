"""The tools that one turn may use, on whose behalf, and how much of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings

from threads.providers.base import ProviderError
from tools import offer
from tools.values import Caller, Tool

if TYPE_CHECKING:
    from threads.providers.base import ModelInfo
    from threads.replies.claims import Claimed

MOST_ITERATIONS = 8  # calls of the model that may ask for tools (contract, decision 19)
UNAVAILABLE = "A tool that this message was sent with is gone. Send it again without that tool."
# Of a send's options, those that are ours and no provider's.
OURS = ("tools_mode", "tools", "client_tools", "max_iterations")


@dataclass(slots=True)
class Toolbox:
    """What is offered to the model, and what is left of the turn's limits."""

    caller: Caller
    offered: offer.Offer | None
    most_iterations: int
    calls: int = 0
    seconds: float = 0.0
    size: int = 0  # bytes of results

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """As providers are told of them."""
        tools = self.offered.tools if self.offered else []
        return [{"name": tool.name, "description": tool.description, "input_schema": dict(tool.input_schema)} for tool in tools]

    async def find(self, name: str) -> Tool | None:
        return await self.offered.find(name) if self.offered else None

    @property
    def full(self) -> bool:
        """No further call is made."""
        return self.calls >= settings.MAX_TURN_TOOL_CALLS

    def spent(self, iteration: int, cost_micros: int) -> bool:
        """Whether the next call of the model is the last, without tools."""
        most_micros = settings.MAX_TURN_USD * 1_000_000
        return (
            iteration >= self.most_iterations
            or self.full
            or self.seconds >= settings.MAX_TURN_TOOL_SECONDS
            or self.size >= settings.MAX_TURN_TOOL_BYTES
            or (most_micros > 0 and cost_micros >= most_micros)
        )


def empty_toolbox(claimed: Claimed) -> Toolbox:
    caller = Caller(
        user_id=claimed.user_id,
        key_id=claimed.key_id,
        end_user_id=claimed.end_user_id,
        thread_id=claimed.thread_id,
        turn_id=claimed.id,
        request_id=claimed.request_id,
        metadata=claimed.metadata or {},
    )
    return Toolbox(caller, None, claimed.options.get("max_iterations") or MOST_ITERATIONS)


async def offered(claimed: Claimed, info: ModelInfo, caller: Caller) -> offer.Offer | None:
    """None for a send that wants no tools, and for a model that can use none; costs nothing then. Raises ProviderError."""
    mode, own = claimed.options.get("tools_mode"), claimed.options.get("client_tools")
    if not info.tools or not (mode or own):
        return None
    try:
        return await offer.offer(caller, mode or "explicit", claimed.options.get("tools"), own)
    except offer.UnknownTool as error:
        raise ProviderError("invalid", UNAVAILABLE, False) from error
