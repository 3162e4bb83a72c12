"""Meetings that were booked."""

import dataclasses
from typing import Any

from tools.answers import rows
from tools.builtin.calendly import CALENDLY, me
from tools.registry import Use
from tools.schemas import choice, limit, moment, takes
from tools.values import Outcome
from tools.vendor import Call

INPUTS = takes(
    min_start_time=moment("From when on."),
    max_start_time=moment("Until when."),
    status=choice("Which ones.", "active", "canceled", default="active"),
    limit=limit(100, 20),
)
CALL = Call(
    path="/scheduled_events",
    query={
        "user": "{user}",
        "status": "{status}",
        "min_start_time": "{min_start_time}",
        "max_start_time": "{max_start_time}",
        "count": "{limit}",
        "sort": "start_time:asc",
    },
    read=rows("collection", "name status start=start_time end=end_time place=location.type link=location.join_url uri"),
)


async def _run(arguments: dict[str, Any], use: Use) -> Outcome:
    given = {"status": "active", "limit": 20, **arguments, "user": await me(use)}
    return await CALENDLY.perform(CALL, given, use.config)


TOOL = dataclasses.replace(
    CALENDLY.tool("list-events", "List meetings", "Lists the meetings that were booked through Calendly.", INPUTS, CALL, writes=False),
    run=_run,
)
