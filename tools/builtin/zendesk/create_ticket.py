"""Open a ticket."""

from collections.abc import Mapping
from typing import Any

from tools.answers import fields
from tools.builtin.zendesk import ZENDESK
from tools.schemas import choice, several, takes, text, word
from tools.vendor import Call, Config


def _requester(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    email = arguments.get("requester_email")
    return {"requester": {"email": email, "name": arguments.get("requester_name") or email}} if email else {}


TOOL = ZENDESK.tool(
    "create-ticket",
    "Create a ticket",
    "Opens a ticket in Zendesk.",
    takes(
        "subject body",
        subject=word("What it is about."),
        body=text("The first comment.", least=1),
        priority=choice("How urgent.", "low", "normal", "high", "urgent"),
        tags=several("Tags."),
        requester_email=word("Address of whoever has the problem; the agent without it."),
        requester_name=word("Their name."),
    ),
    Call(
        method="POST",
        path="/tickets.json",
        json={
            "ticket": {
                "subject": "{subject}",
                "comment": {"body": "{body}"},
                "priority": "{priority}",
                "tags": "{tags}",
                "requester": "{requester}",
            }
        },
        prepare=_requester,
        read=fields("id=ticket.id subject=ticket.subject status=ticket.status url=ticket.url"),
    ),
    writes=True,
)
