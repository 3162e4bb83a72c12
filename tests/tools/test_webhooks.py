"""Tools on the account's own server: what it is sent, and what is made of each answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import Settings

from accounts.models import User
from tests.tools.hostile_urls import NAMES, URLS
from tests.tools.internet import Names, Request, Site, connects, reply, said, site
from tools import actions, webhooks
from tools.database import in_thread
from tools.dispatch import dispatch
from tools.models import RegisteredTool
from tools.shelf import caller_shelf
from tools.values import Caller, Outcome, Tool

pytestmark = pytest.mark.django_db(transaction=True)

SCHEMA = {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
ZURICH = {"location": "Zürich"}


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> AsyncIterator[Site]:
    """The account's server, on a host that the operator allows; tries follow each other at once."""
    settings.EGRESS_ALLOW = ["good.test"]
    names = Names()
    names.known |= NAMES
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    monkeypatch.setattr(webhooks, "BACKOFF", (0.001, 0.001, 0.001))
    async with site() as one:
        yield one


async def call(user: User, app: Site, path: str = "/hook", timeout_ms: int = 2000, **who: Any) -> tuple[Outcome, str]:
    """Registers a webhook at `path`, calls it, and gives what came of it with the signing secret."""
    found, secret = await registered(user, app.url(path), timeout_ms)
    caller = Caller(user_id=user.pk, tool_use_id="toolu_1", request_id="r1", **who)
    return await dispatch(found, ZURICH, caller), secret


async def registered(user: User, url: str, timeout_ms: int = 2000) -> tuple[Tool, str]:
    given: dict[str, Any] = {"name": f"weather_{uuid4().hex}", "description": "The weather.", "input_schema": SCHEMA, "webhook_url": url}
    row, secret = await in_thread(actions.register_webhook, user, **given, timeout_ms=timeout_ms)
    return (await caller_shelf(Caller(user_id=user.pk))).tools[row.name], secret


def test_the_signature_is_the_one_of_the_contract() -> None:
    body = (
        '{"tool_id":"tool_0","tool_use_id":"toolu_1","name":"get_weather","input":{"location":"Zürich"},'
        '"request_id":"r1","thread_id":"t1","end_user_id":null}'
    )
    expected = "7669f00f875b0c491bc79eede8d04126d88f75470d6060f4f5a51819e6c65fb5"
    assert webhooks.sign("wsk_test_secret", "1746000000", body.encode()) == expected


async def test_the_server_gets_the_call_signed_byte_for_byte(owner: User, app: Site) -> None:
    app.answers["/hook"] = said({"output": {"celsius": 21}})
    thread_id = uuid4()
    outcome, secret = await call(owner, app, thread_id=thread_id, end_user_id="user_42")
    assert outcome == Outcome({"celsius": 21}, http_status=200)
    request = app.requests[-1]
    timestamp = request.headers["x-qlaud-timestamp"]
    assert abs(int(timestamp) - time.time()) < 60
    signature = hmac.new(secret.encode(), timestamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-qlaud-signature"] == signature
    assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
    assert "Zürich".encode() in request.body
    said_of = request.json
    assert said_of.pop("tool_id").startswith("tool_")
    assert said_of.pop("name").startswith("weather_")
    assert said_of == {
        "tool_use_id": "toolu_1",
        "input": ZURICH,
        "request_id": "r1",
        "thread_id": str(thread_id),
        "end_user_id": "user_42",
    }


async def test_any_output_comes_back_as_it_is(owner: User, app: Site) -> None:
    outputs: list[Any] = ["text", {"a": [1, None]}, [], 0, False, ""]
    for output in outputs:
        app.answers["/hook"] = said({"output": output})
        outcome, _ = await call(owner, app)
        assert (outcome.output, outcome.is_error) == (output, False)


async def test_the_server_can_say_that_it_failed(owner: User, app: Site) -> None:
    app.answers["/hook"] = said({"output": "No such city", "is_error": True})
    outcome, _ = await call(owner, app)
    assert (outcome.output, outcome.is_error, outcome.attempts) == ("No such city", True, 1)


ANSWERS: list[tuple[Any, str]] = [
    (reply(401, "bad signature"), "refused the call (401)"),
    (said({"output": "x"}, 404), "refused the call (404)"),
    (reply(302, location="http://127.0.0.1/"), "redirects (302), which is not followed"),
    (reply(307, location="https://example.com/"), "redirects (307)"),
    (reply(200, "<html>Sign in</html>", content_type="text/html; charset=utf-8"), "answered text/html where JSON was expected"),
    (reply(200, ""), "where JSON was expected"),
    (reply(200, "{", content_type="application/json"), "where JSON was expected"),
    (said({"result": 1}), "without an `output`"),
    (said([1]), "without an `output`"),
    (said({"output": "x" * 1_100_000}), "more than 1,048,576 bytes"),
]


async def test_an_answer_that_is_none_is_told_once(owner: User, app: Site) -> None:
    for answer, words in ANSWERS:
        app.answers["/hook"] = answer
        app.requests.clear()
        outcome, _ = await call(owner, app)
        assert outcome.is_error
        assert words in outcome.output
        assert len(app.requests) == 1


async def test_a_server_that_was_away_is_asked_up_to_three_times_more(owner: User, app: Site) -> None:
    def third_time(request: Request, writer: asyncio.StreamWriter) -> None:
        answer = said({"output": "at last"}) if len(app.requests) == 3 else reply(503)
        answer(request, writer)

    app.answers["/hook"] = third_time
    outcome, _ = await call(owner, app)
    assert (outcome.output, outcome.attempts, outcome.is_error) == ("at last", 3, False)
    assert len({request.body for request in app.requests}) == 1


async def test_a_server_that_stays_away_is_given_up_after_four_tries(owner: User, app: Site) -> None:
    app.answers |= {"/500": reply(500, "canary"), "/closed": lambda request, writer: writer.close()}
    for path, kind in (("/500", "unavailable"), ("/hang", "timeout"), ("/drip", "timeout"), ("/closed", "unavailable")):
        app.requests.clear()
        outcome, _ = await call(owner, app, path, timeout_ms=200)
        assert (outcome.is_error, outcome.error_kind, outcome.attempts) == (True, kind, 4), path
        assert "Tried 4 times" in outcome.output
        assert "canary" not in outcome.output
        assert len(app.requests) == 4


async def test_no_hostile_address_is_connected_to_however_it_got_there(owner: User, app: Site, settings: Settings) -> None:
    found, _ = await registered(owner, app.url("/hook"))
    settings.EGRESS_ALLOW = []
    caller = Caller(user_id=owner.pk)
    with connects() as tried:
        for url in URLS:
            await in_thread(RegisteredTool.objects.for_user(owner.pk).update, webhook_url=url)
            outcome = await dispatch(found, ZURICH, caller)
            assert outcome.is_error, url
    assert tried == []
