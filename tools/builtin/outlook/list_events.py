"""Events of the calendar."""

from tools.answers import rows
from tools.builtin.outlook import OUTLOOK
from tools.schemas import limit, moment, takes
from tools.vendor import Call

TOOL = OUTLOOK.tool(
    "list-events",
    "List events",
    "Lists the events of the Outlook calendar between two moments, in UTC.",
    takes("start end", start=moment("From when on."), end=moment("Until when."), limit=limit(100, 20)),
    Call(
        path="/calendarView",
        query={
            "startDateTime": "{start}",
            "endDateTime": "{end}",
            "$top": "{limit}",
            "$orderby": "start/dateTime",
            "$select": "id,subject,start,end,location,attendees,webLink",
        },
        read=rows(
            "value",
            "id subject start=start.dateTime end=end.dateTime location=location.displayName "
            "attendees=attendees.emailAddress.address url=webLink",
        ),
    ),
    writes=False,
)
