"""Mail and text messages: through whom, and to whom whatever the model says."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest
from pytest_django import Settings

from tests.tools.catalogue.mail_server import MailServer
from tests.tools.catalogue.vendor import Answer, Vendor
from tools.arguments import misfit
from tools.registry import Use, as_outcome, builtin
from tools.values import Caller, Outcome, ToolError

CALLER = Caller(uuid.uuid4(), end_user_id="user_42", metadata={"email": "owner@example.com", "phone": "+15005550042"})
MAIL = {"to": "bob@example.com", "subject": "Grüße", "text": "Hallo Bob\n.\nEnde"}


def smtp(server: MailServer, **more: Any) -> dict[str, Any]:
    account = {"smtp_username": "ada", "smtp_password": "canary-password"}
    return {"from": "Ada <ada@example.com>", "smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": "none", **account, **more}


async def run(slug: str, arguments: dict[str, Any], config: dict[str, Any], caller: Caller = CALLER) -> Outcome:
    one = builtin(slug)
    assert one is not None
    assert misfit(one.input_schema, arguments) == ""
    assert misfit(one.config_schema, config) == ""
    return as_outcome(await one.run(arguments, Use(caller, config)))


async def test_a_mail_goes_through_the_server_that_was_set_up(vendor: Vendor) -> None:
    with MailServer() as server:
        outcome = await run("send-email", MAIL, smtp(server))
    assert outcome.output == "Sent to bob@example.com."
    proof = base64.b64encode(b"\0ada\0canary-password").decode()
    assert f"AUTH PLAIN {proof}" in server.said
    assert "mail FROM:<ada@example.com>" in server.said
    assert "rcpt TO:<bob@example.com>" in server.said
    assert "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=" in server.said
    assert [name for name in ("Date: ", "Message-ID: <") if not any(line.startswith(name) for line in server.said)] == []
    assert server.said[-4:] == ["Hallo Bob", "..", "Ende", "QUIT"]


@pytest.mark.parametrize(
    ("command", "reply", "kind"),
    [
        ("AUTH", "535 wrong canary-password", "not_connected"),
        ("RCPT", "550 no such user", "refused"),
        ("MAIL", "451 later", "unavailable"),
        ("DATA", "554 spam", "unavailable"),
    ],
)
async def test_a_mail_server_that_says_no_is_told_without_the_password(vendor: Vendor, command: str, reply: str, kind: str) -> None:
    with MailServer({command: reply}) as server, pytest.raises(ToolError) as caught:
        await run("send-email", MAIL, smtp(server))
    assert caught.value.kind == kind
    assert "canary" not in caught.value.message


async def test_a_server_without_encryption_is_not_given_the_password(vendor: Vendor) -> None:
    with MailServer({"STARTTLS": "502 no"}) as server, pytest.raises(ToolError, match="STARTTLS"):
        await run("send-email", MAIL, smtp(server, smtp_security="starttls"))
    assert not [line for line in server.said if "AUTH" in line]


async def test_a_mail_server_inside_the_network_is_not_spoken_to(settings: Settings) -> None:
    settings.EGRESS_ALLOW = []
    with MailServer() as server:
        for config in (smtp(server), smtp(server, smtp_host="localhost"), smtp(server, smtp_host="2130706433")):
            with pytest.raises(ToolError) as caught:
                await run("send-email", MAIL, config)
            assert caught.value.kind == "refused"
    assert server.said == []


@pytest.mark.parametrize("port", [22, 80, 6379, 25])
async def test_only_ports_of_mail_are_spoken_to(settings: Settings, port: int) -> None:
    settings.EGRESS_ALLOW = []
    config = {"from": "a@example.com", "smtp_host": "10.0.0.1", "smtp_port": port}
    with pytest.raises(ToolError) as caught:
        await run("send-email", MAIL, config)
    assert caught.value.kind == "refused"


async def test_a_locked_recipient_is_the_person_of_the_conversation(vendor: Vendor, settings: Settings) -> None:
    settings.TOOL_ORIGINS = vendor.origins("api.resend.com", "api.twilio.com")
    vendor.answers(Answer({"id": "1"}), Answer({"sid": "SM1"}))
    resend = {"from": "a@example.com", "resend_api_key": "canary-resend", "lock_recipient": True}
    await run("send-email", {**MAIL, "to": "attacker@example.com"}, resend)
    twilio = {"account_sid": "AC1", "auth_token": "canary-twilio", "from_number": "+15005550006", "lock_recipient": True}
    await run("twilio-send-sms", {"to": "+15005550666", "body": "Hi"}, twilio)
    assert json.loads(vendor.asked[0].body)["to"] == ["owner@example.com"]
    assert b"To=%2B15005550042&" in vendor.asked[1].body
    vendor.answers()
    for slug, arguments, config in (("send-email", MAIL, resend), ("twilio-send-sms", {"body": "Hi"}, twilio)):
        with pytest.raises(ToolError, match="tied to"):
            await run(slug, arguments, config, Caller(uuid.uuid4(), metadata={"name": "nobody"}))
    assert vendor.asked == []


async def test_somebody_must_be_named_when_nobody_is_locked(vendor: Vendor) -> None:
    with pytest.raises(ToolError, match="to is missing"):
        await run("send-email", {"subject": "x", "text": "y"}, {"from": "a@example.com", "resend_api_key": "canary-resend"})


async def test_a_header_cannot_be_smuggled_into_a_mail(vendor: Vendor) -> None:
    with MailServer() as server:
        for field in ("to", "subject"):
            one = builtin("send-email")
            assert one is not None
            with pytest.raises(ToolError, match="line break"):
                await one.run({**MAIL, field: "x@example.com\r\nBcc: evil@example.com"}, Use(CALLER, smtp(server)))
    assert server.said == []
