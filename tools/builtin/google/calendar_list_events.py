"""Events of a calendar."""

from tools.answers import rows
from tools.builtin.google import CALENDAR, CALENDAR_ID
from tools.schemas import limit, moment, takes, word
from tools.vendor import Call

TOOL = CALENDAR.tool(
    "list-events",
    "List events",
    "Lists the events of a Google calendar between two moments.",
    takes(
        "time_min",
        time_min=moment("From when on."),
        time_max=moment("Until when."),
        query=word("Words in them."),
        calendar_id=CALENDAR_ID,
        limit=limit(100, 20),
    ),
    Call(
        path="/calendars/{calendar_id}/events",
        query={
            "timeMin": "{time_min}",
            "timeMax": "{time_max}",
            "q": "{query}",
            "maxResults": "{limit}",
            "singleEvents": True,
            "orderBy": "startTime",
        },
        read=rows(
            "items", "id summary start=start.dateTime day=start.date end=end.dateTime location attendees=attendees.email url=htmlLink"
        ),
    ),
    writes=False,
)
