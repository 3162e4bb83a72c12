"""Send a mail."""

import base64
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any

from tools.answers import fields
from tools.builtin.google import GMAIL
from tools.schemas import several, takes, text, word
from tools.values import ToolError
from tools.vendor import Call, Config


def _raw(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    mail = EmailMessage()
    try:
        mail["To"] = ", ".join(arguments["to"])
        if arguments.get("cc"):
            mail["Cc"] = ", ".join(arguments["cc"])
        mail["Subject"] = arguments["subject"]
    except ValueError:  # a line break in a header
        raise ToolError("An address or the subject has a line break.", "invalid") from None
    mail.set_content(arguments["body"])
    return {"raw": base64.urlsafe_b64encode(mail.as_bytes()).decode()}


TOOL = GMAIL.tool(
    "send",
    "Send a mail",
    "Sends a mail from the connected Gmail account.",
    takes(
        "to subject body",
        to=several("Addresses.", word("An address."), minItems=1),
        cc=several("Addresses of copies.", word("An address.")),
        subject=word("Its subject."),
        body=text("Its text.", least=1),
    ),
    Call(method="POST", path="/messages/send", json={"raw": "{raw}"}, prepare=_raw, read=fields("id thread=threadId")),
    writes=True,
)
