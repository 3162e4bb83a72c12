"""Put an event into the calendar."""

from collections.abc import Mapping
from typing import Any

from tools.answers import fields
from tools.builtin.outlook import OUTLOOK, people
from tools.schemas import several, takes, text, word
from tools.vendor import Call, Config

CLOCK = r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$"


def _guests(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    given = arguments.get("attendees") or []
    return {"guests": [{**person, "type": "required"} for person in people(given)]} if given else {}


TOOL = OUTLOOK.tool(
    "create-event",
    "Create an event",
    "Creates an event in the Outlook calendar; people named as attendees are invited by mail.",
    takes(
        "subject start end",
        subject=word("Title of the event."),
        start=word("When it starts, such as 2026-03-01T15:00:00, in the time zone.", pattern=CLOCK),
        end=word("When it ends.", pattern=CLOCK),
        timezone=word("Such as Europe/Berlin.", default="UTC"),
        body=text("More about it."),
        location=word("Where."),
        attendees=several("Addresses of people to invite.", word("An address.")),
    ),
    Call(
        method="POST",
        path="/events",
        json={
            "subject": "{subject}",
            "start": {"dateTime": "{start}", "timeZone": "{timezone}"},
            "end": {"dateTime": "{end}", "timeZone": "{timezone}"},
            "body": {"contentType": "text", "content": "{body}"},
            "location": {"displayName": "{location}"},
            "attendees": "{guests}",
        },
        prepare=_guests,
        read=fields("id subject start=start.dateTime end=end.dateTime url=webLink"),
    ),
    writes=True,
)
