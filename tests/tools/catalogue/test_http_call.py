"""The HTTP call that its registrant describes (contract 11.4): values are escaped for their place, and some are not the model's."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from pytest_django import Settings

from tests.tools.catalogue.vendor import Answer, Vendor
from tools.arguments import misfit
from tools.builtin.web.http_call import CONFIG
from tools.registry import Use, as_outcome, builtin
from tools.values import Caller, Outcome, ToolError

CALLER = Caller(uuid.uuid4(), end_user_id="user/42", metadata={"email": "owner@example.com", "plan": {"name": "pro"}})
SECRETS = {"TOKEN": "canary-token", "PATH": "canary/path"}


@pytest.fixture(autouse=True)
def api(vendor: Vendor, settings: Settings) -> None:
    settings.TOOL_ORIGINS = vendor.origins("api.example.com")


async def run(arguments: dict[str, Any], config: dict[str, str], caller: Caller = CALLER) -> Outcome:
    given = {**{"url": "https://api.example.com/things"}, **config, "secrets": json.dumps(SECRETS)}
    assert misfit(CONFIG, given) == ""
    one = builtin("http-call")
    assert one is not None
    return as_outcome(await one.run(arguments, Use(caller, given)))


async def test_a_template_is_filled_from_model_secrets_and_conversation(vendor: Vendor) -> None:
    vendor.answers(Answer({"ok": True}, 201))
    outcome = await run(
        {"id": "a/b?c", "note": 'He said "no"\n{{secrets.TOKEN}}', "count": 3, "tags": ["x"], "q": "1 & 2"},
        {
            "url": "https://api.example.com/users/{{end_user.id}}/things/{{ input.id }}?q={{input.q}}&plan={{end_user.metadata.plan.name}}",
            "headers": json.dumps({"Authorization": "Bearer {{secrets.TOKEN}}", "X-Mail": "{{end_user.metadata.email}}"}),
            "body_template": '{"note": "By: {{input.note}}", "count": {{input.count}}, "tags": {{input.tags}}, "none": {{input.missing}}}',
        },
    )
    (asked,) = vendor.asked
    assert (outcome.output, outcome.http_status, outcome.is_error) == ({"status": 201, "body": {"ok": True}}, 201, False)
    assert asked.line == "POST https://api.example.com/users/user%2F42/things/a%2Fb%3Fc"
    assert asked.query == [("q", "1 & 2"), ("plan", "pro")]
    assert (asked.headers["authorization"], asked.headers["x-mail"]) == ("Bearer canary-token", "owner@example.com")
    # What the model writes is never read as a template.
    assert json.loads(asked.body) == {"note": 'By: He said "no"\n{{secrets.TOKEN}}', "count": 3, "tags": ["x"], "none": None}


@pytest.mark.parametrize(
    ("kind", "template", "body"),
    [
        ("application/x-www-form-urlencoded", "a={{input.x}}&b=2", b"a=1%26b%3D3%20%22&b=2"),
        ("text/plain", "x: {{input.x}}", b'x: 1&b=3 "'),
        ("application/json; charset=utf-8", '["{{input.x}}"]', b'["1&b=3 \\""]'),
        ("", '["{{input.x}}", "\\"{{input.x}}"]', b'["1&b=3 \\"", "\\"1&b=3 \\""]'),
    ],
)
async def test_a_body_stays_what_it_is_whatever_the_model_says(vendor: Vendor, kind: str, template: str, body: bytes) -> None:
    vendor.answers(Answer("ok"))
    await run({"x": '1&b=3 "'}, {"headers": json.dumps({"Content-Type": kind} if kind else {}), "body_template": template})
    assert vendor.asked[0].body == body


async def test_a_locked_field_is_not_the_models_to_choose(vendor: Vendor) -> None:
    vendor.answers(Answer({}))
    await run(
        {"to": "attacker@example.com", "email": "attacker@example.com", "end_user_id": "root"},
        {
            "lock_input_fields": '["to=end_user.metadata.email", "email", "end_user_id"]',
            "body_template": '{"to": "{{input.to}}", "email": "{{input.email}}", "id": "{{input.end_user_id}}"}',
        },
    )
    assert json.loads(vendor.asked[0].body) == {"to": "owner@example.com", "email": "owner@example.com", "id": "user/42"}


async def test_without_the_person_a_locked_call_is_not_made(vendor: Vendor) -> None:
    for caller in (Caller(uuid.uuid4()), Caller(uuid.uuid4(), metadata={"email": ""}), Caller(uuid.uuid4(), metadata={"email": {"a": 1}})):
        with pytest.raises(ToolError, match=r"no end_user\.metadata\.email"):
            await run({"email": "attacker@example.com"}, {"lock_input_fields": '["email"]'}, caller)
    assert vendor.asked == []


async def test_the_model_never_chooses_the_host(vendor: Vendor) -> None:
    for url in (
        "https://{{input.host}}/x",
        "https://api.example.com{{input.host}}/x",
        "https://api.example.com:{{input.port}}/",
        "{{input.url}}/x",
    ):
        with pytest.raises(ToolError):
            await run({"host": ".evil.example.com", "port": "1", "url": "https://evil.example.com"}, {"url": url})
    for path in ("..", "."):
        with pytest.raises(ToolError, match="piece of its path"):
            await run({"id": path}, {"url": "https://api.example.com/users/{{input.id}}/things"})
    assert vendor.asked == []


async def test_a_header_cannot_be_split(vendor: Vendor) -> None:
    for value in ("a\r\nX-Admin: 1", "a\nb", "a\0b"):
        with pytest.raises(ToolError, match="control character"):
            await run({"x": value}, {"headers": '{"X-Note": "{{input.x}}"}'})
    assert vendor.asked == []


async def test_secrets_that_come_back_are_hidden(vendor: Vendor) -> None:
    vendor.answers(
        Answer({"headers": {"Authorization": "Bearer canary-token"}, "url": "/canary%2Fpath"}), Answer("no canary-token for you", 403)
    )
    config = {"headers": '{"Authorization": "Bearer {{secrets.TOKEN}}"}', "url": "https://api.example.com/{{secrets.PATH}}"}
    echoed = await run({}, config)
    assert echoed.output["body"] == {"headers": {"Authorization": "Bearer [hidden]"}, "url": "/[hidden]"}
    refused = await run({}, config)
    assert (refused.is_error, refused.error_kind, refused.output) == (True, "refused", {"status": 403, "body": "no [hidden] for you"})


async def test_a_redirect_is_told_and_not_followed(vendor: Vendor) -> None:
    vendor.answers(Answer("", 302, {"location": "http://169.254.169.254/"}))
    assert (await run({}, {"method": "GET"})).output["status"] == 302
    assert [asked.method for asked in vendor.asked] == ["GET"]


async def test_an_address_inside_the_network_is_refused(vendor: Vendor, settings: Settings) -> None:
    settings.EGRESS_ALLOW = []
    with pytest.raises(ToolError) as caught:
        await run({}, {"url": f"{vendor.url}/{{{{secrets.PATH}}}}"})
    assert caught.value.kind == "refused"
    assert "canary" not in caught.value.message
    assert vendor.asked == []


@pytest.mark.parametrize(
    "config",
    [
        {"headers": "[]"},
        {"headers": '{"A": 1}'},
        {"headers": "not json"},
        {"lock_input_fields": '"to"'},
        {"url": "ftp://api.example.com/"},
        {"url": "api.example.com/{{input.x}}"},
        {"body_template": "{{secrets.NOSUCH}}"},
    ],
)
async def test_a_tool_that_is_set_up_wrongly_says_so(vendor: Vendor, config: dict[str, str]) -> None:
    with pytest.raises(ToolError):
        await run({"x": "1"}, config)
    assert vendor.asked == []
