"""Send a mail through Resend or through a mail server."""

from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Any

from tools.answers import fields
from tools.locking import LOCK_EMAIL, recipient
from tools.registry import Builtin, Use
from tools.schemas import choice, secret, takes, text, whole, word
from tools.signing_in import header
from tools.smtp import Server, deliver
from tools.values import Outcome, ToolError
from tools.vendor import Call, Vendor

ADDRESS = r"^[^\s@<>,;]+@[^\s@<>,;]+$"
CONFIG = {
    **takes(
        "from",
        **{"from": word("The sender, such as Support <support@example.com>.")},
        resend_api_key=secret("An API key of Resend (re_…)."),
        smtp_host=word("Instead of it: name of a mail server."),
        smtp_port=whole("Its port.", 1, 65535, default=587),
        smtp_security=choice("How the connection is encrypted.", "starttls", "tls", "none", default="starttls"),
        smtp_username=word("The account there."),
        smtp_password=secret("Its password."),
        lock_recipient=LOCK_EMAIL,
    ),
    "anyOf": [{"required": ["resend_api_key"]}, {"required": ["smtp_host"]}],
}
RESEND = Vendor(
    slug="resend",
    brand="Resend",
    base="https://api.resend.com",
    config=CONFIG,
    auth=header("Authorization", "Bearer {config.resend_api_key}"),
)
CALL = Call(
    method="POST",
    path="/emails",
    json={"from": "{config.from}", "to": ["{to}"], "subject": "{subject}", "text": "{text}", "reply_to": "{reply_to}"},
    read=fields("id"),
)


async def run(arguments: dict[str, Any], use: Use) -> Outcome:
    given = {**arguments, "to": recipient(arguments, use, "email")}
    if use.config.get("resend_api_key"):
        return await RESEND.perform(CALL, given, use.config)
    if not use.config.get("smtp_host"):
        raise ToolError("This tool is not connected: it needs a key of Resend or a mail server.", "not_connected")
    server = Server(
        host=use.config["smtp_host"],
        port=use.config.get("smtp_port", 587),
        security=use.config.get("smtp_security", "starttls"),
        username=use.config.get("smtp_username", ""),
        password=use.config.get("smtp_password", ""),
    )
    await deliver(server, _message(given, use.config["from"]))
    return Outcome(f"Sent to {given['to']}.")


def _message(given: dict[str, Any], sender: str) -> EmailMessage:
    message = EmailMessage()
    try:
        message["From"], message["To"], message["Subject"] = sender, given["to"], given["subject"]
        if given.get("reply_to"):
            message["Reply-To"] = given["reply_to"]
    except ValueError:  # a line break in a header
        raise ToolError("An address or the subject has a line break.", "invalid") from None
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2] or None)
    message.set_content(given["text"])
    return message


TOOL = Builtin(
    slug="send-email",
    display_name="Send an e-mail",
    description="Sends a mail from the address that was set up. Where the recipient is locked, it goes to the person of this conversation.",
    brand="Resend or SMTP",
    input_schema=takes(
        "subject text",
        to=word("Address of the recipient.", pattern=ADDRESS),
        subject=word("Its subject."),
        text=text("Its text.", least=1),
        reply_to=word("Where answers go.", pattern=ADDRESS),
    ),
    run=run,
    config_schema=CONFIG,
    auth_mode="either",
    connection="send-email",
)
