"""Send a mail."""

from collections.abc import Mapping
from typing import Any

from tools.builtin.outlook import OUTLOOK, people
from tools.schemas import several, takes, text, word
from tools.vendor import Call, Config


def _people(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    return {"to_people": people(arguments["to"]), "cc_people": people(arguments.get("cc") or [])}


TOOL = OUTLOOK.tool(
    "send-mail",
    "Send a mail",
    "Sends a mail from the connected Outlook account.",
    takes(
        "to subject body",
        to=several("Addresses.", word("An address."), minItems=1),
        cc=several("Addresses of copies.", word("An address.")),
        subject=word("Its subject."),
        body=text("Its text.", least=1),
    ),
    Call(
        method="POST",
        path="/sendMail",
        json={
            "message": {
                "subject": "{subject}",
                "body": {"contentType": "Text", "content": "{body}"},
                "toRecipients": "{to_people}",
                "ccRecipients": "{cc_people}",
            },
            "saveToSentItems": True,
        },
        prepare=_people,
    ),
    writes=True,
)
