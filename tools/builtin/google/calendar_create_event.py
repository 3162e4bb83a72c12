"""Put an event into a calendar."""

from collections.abc import Mapping
from typing import Any

from tools.answers import fields
from tools.builtin.google import CALENDAR, CALENDAR_ID
from tools.schemas import choice, moment, several, takes, text, word
from tools.vendor import Call, Config


def _attendees(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    return {"guests": [{"email": email} for email in arguments["attendees"]]} if arguments.get("attendees") else {}


TOOL = CALENDAR.tool(
    "create-event",
    "Create an event",
    "Creates an event in a Google calendar and, if asked, invites people.",
    takes(
        "summary start end",
        summary=word("Title of the event."),
        start=moment("When it starts."),
        end=moment("When it ends."),
        description=text("More about it."),
        location=word("Where."),
        attendees=several("Addresses of people to invite.", word("An address.")),
        send_updates=choice("Whether they get mail.", "all", "none", default="none"),
        calendar_id=CALENDAR_ID,
    ),
    Call(
        method="POST",
        path="/calendars/{calendar_id}/events",
        query={"sendUpdates": "{send_updates}"},
        json={
            "summary": "{summary}",
            "description": "{description}",
            "location": "{location}",
            "start": {"dateTime": "{start}"},
            "end": {"dateTime": "{end}"},
            "attendees": "{guests}",
        },
        prepare=_attendees,
        read=fields("id summary start=start.dateTime end=end.dateTime url=htmlLink"),
    ),
    writes=True,
)
