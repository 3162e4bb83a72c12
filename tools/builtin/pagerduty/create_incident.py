"""Wake somebody."""

from tools.answers import fields
from tools.builtin.pagerduty import PAGERDUTY
from tools.schemas import choice, takes, text, word
from tools.vendor import Call

TOOL = PAGERDUTY.tool(
    "create-incident",
    "Create an incident",
    "Creates an incident in PagerDuty, which alerts whoever is on call for the service.",
    takes(
        "title service_id",
        title=word("What is wrong."),
        service_id=word("Id of the service."),
        details=text("More about it."),
        urgency=choice("How urgent.", "high", "low", default="high"),
    ),
    Call(
        method="POST",
        path="/incidents",
        headers={"From": "{config.from_email}"},
        json={
            "incident": {
                "type": "incident",
                "title": "{title}",
                "service": {"id": "{service_id}", "type": "service_reference"},
                "urgency": "{urgency}",
                "body": {"type": "incident_body", "details": "{details}"},
            }
        },
        read=fields("id=incident.id number=incident.incident_number status=incident.status url=incident.html_url"),
    ),
    writes=True,
)
