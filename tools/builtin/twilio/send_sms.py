"""Send a text message."""

import dataclasses
from typing import Any

from tools.answers import fields
from tools.builtin.twilio import TWILIO
from tools.locking import recipient
from tools.registry import Use
from tools.schemas import takes, text, word
from tools.values import Outcome
from tools.vendor import Call

CALL = Call(
    method="POST",
    path="/Messages.json",
    form={"To": "{to}", "From": "{config.from_number}", "Body": "{body}"},
    read=fields("sid status to segments=num_segments"),
)


async def _run(arguments: dict[str, Any], use: Use) -> Outcome:
    return await TWILIO.perform(CALL, {**arguments, "to": recipient(arguments, use, "phone")}, use.config)


TOOL = dataclasses.replace(
    TWILIO.tool(
        "send-sms",
        "Send an SMS",
        "Sends a text message to a phone. Where the recipient is locked, it goes to the person of this conversation.",
        takes("body", to=word("Number in the form +15005550006."), body=text("The message.", least=1, most=1600)),
        CALL,
        writes=True,
    ),
    run=_run,
)
