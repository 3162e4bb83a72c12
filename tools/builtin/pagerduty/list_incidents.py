"""Incidents that are open."""

from tools.answers import rows
from tools.builtin.pagerduty import PAGERDUTY
from tools.schemas import choice, limit, several, takes
from tools.vendor import Call

TOOL = PAGERDUTY.tool(
    "list-incidents",
    "List incidents",
    "Lists incidents in PagerDuty by status.",
    takes(
        statuses=several(
            "Which ones.", choice("A status.", "triggered", "acknowledged", "resolved"), 3, default=["triggered", "acknowledged"]
        ),
        limit=limit(100, 20),
    ),
    Call(
        path="/incidents",
        query={"statuses[]": "{statuses}", "limit": "{limit}", "sort_by": "created_at:desc"},
        read=rows("incidents", "id number=incident_number title status urgency service=service.summary created=created_at url=html_url"),
    ),
    writes=False,
)
