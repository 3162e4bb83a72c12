"""The date and time in a time zone."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tools.registry import Builtin, Use
from tools.schemas import takes, word
from tools.values import ToolError


async def run(arguments: dict[str, Any], use: Use) -> dict[str, Any]:
    name = arguments.get("timezone", "UTC")
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ToolError(f"There is no time zone {name!r}; they are called like Europe/Berlin.", "invalid") from None
    now = dt.datetime.now(zone)
    return {
        "time": now.isoformat(timespec="seconds"),
        "weekday": f"{now:%A}",
        "week": now.isocalendar().week,
        "timezone": name,
        "unix": int(now.timestamp()),
    }


TOOL = Builtin(
    slug="current-time",
    display_name="Time",
    description="The current date, time and weekday in a time zone.",
    brand="chatai",
    input_schema=takes(timezone=word("IANA name such as Europe/Berlin.", default="UTC")),
    run=run,
    writes=False,
    repeatable=True,
)
