"""What can be booked, with the links to give away."""

import dataclasses
from typing import Any

from tools.answers import rows
from tools.builtin.calendly import CALENDLY, me
from tools.registry import Use
from tools.schemas import takes
from tools.values import Outcome
from tools.vendor import Call

CALL = Call(
    path="/event_types",
    query={"user": "{user}", "active": True, "count": 100},
    read=rows("collection", "name minutes=duration kind link=scheduling_url uri"),
)


async def _run(arguments: dict[str, Any], use: Use) -> Outcome:
    return await CALENDLY.perform(CALL, {"user": await me(use)}, use.config)


TOOL = dataclasses.replace(
    CALENDLY.tool(
        "list-event-types",
        "List booking links",
        "Lists what can be booked with the person in Calendly, with the links.",
        takes(),
        CALL,
        writes=False,
    ),
    run=_run,
)
