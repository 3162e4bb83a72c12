"""What of a send's options is about tools (contract, sections 5 and 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from threads.refusals import Refused
from tools import offer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from threads.models import Turn
    from threads.providers.base import ModelInfo

FROM_A_PAGE: dict[str, Any] = {"tools_mode": "dynamic"}  # what people chat with in a browser
MOST_ITERATIONS = 500
SLACK = 64  # bytes that one described tool may be larger than it came
NAMES = ("tools_mode", "tools", "client_tools", "max_iterations")


def checked(
    user_id: UUID,
    tools_mode: str | None,
    tools: list[str] | None,
    client_tools: list[dict[str, Any]] | None,
    runtime: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The options to keep with the turn. Raises Refused (400) for what is not there or excludes each other."""
    try:
        mode = offer.mode_of(tools_mode, tools)
        offer.check_ids(user_id, tools or [])
        offer.own_tools(client_tools or [])
    except (offer.UnknownTool, offer.BadTool) as error:
        raise Refused(400, "invalid_request_error", str(error)) from error
    options: dict[str, Any] = {}
    if mode != "explicit" or tools:
        options["tools_mode"] = mode
    if mode == "explicit" and tools:
        options["tools"] = tools
    if client_tools:
        options["client_tools"] = client_tools
    most = (runtime or {}).get("max_iterations")
    if most is not None:
        options["max_iterations"] = _clamped(most)
    return options


def _clamped(most: Any) -> int:
    if isinstance(most, bool) or not isinstance(most, int):
        raise Refused(400, "invalid_request_error", "qlaud_runtime.max_iterations: a whole number from 1.")
    return max(1, min(most, MOST_ITERATIONS))


def tools_bytes(info: ModelInfo, options: Mapping[str, Any]) -> int:
    """How much longer the prompt is for its tools, as far as that is known without the database; the rest is held when it is."""
    mode, own = options.get("tools_mode"), options.get("client_tools")
    if not info.tools or not (mode or own):
        return 0
    return offer.size_of(mode or "explicit", own) + SLACK * len(own or ())


def of(turn: Turn) -> dict[str, Any]:
    """Those of an earlier turn, for asking it again."""
    return {name: turn.options[name] for name in NAMES if name in turn.options}
