"""Secrets as canaries: given in every way there is, said back by every server that got them, and looked for everywhere afterwards."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
import redis
from celery import Celery
from django.conf import settings
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from psycopg import sql
from pytest_django import DjangoDbBlocker

from accounts import keys
from accounts.models import User
from tests.api.client import Caller
from tests.api.echo import Echo, echoing
from tests.billing.spending import lift_limits
from tests.page import Browser, Page
from tests.running import database_url, fresh_database, working_in
from tests.stack import Stack, until
from tests.tools.mcp.fake import Fake, serving
from threads.actions import create_thread
from threads.models import ToolCall, Turn
from tools.connected import Connection, Leftover, McpServer

DATABASE = "test_chatai_secrets"
PROCESSES = ("web", "replies", "clock")
# What somebody confided to the product: nowhere but sealed, and on its way to whom it is for.
CONFIDED = {
    name: f"canary{number}{name.replace(' ', '')}Zq7"
    for number, name in enumerate(
        ("config", "template", "header", "connection", "refused", "malformed", "unknown key", "sealing", "signing", "provider", "metrics")
    )
}
# What a person said: in the conversation, and in nothing that others read.
SAID = "canarySaidByAPerson8Xy"


def spellings(secret: str) -> list[str]:
    """As it is, and as it looks inside of something that was made base64 or hexadecimal, whatever is before and after it."""
    middles = [base64.b64encode(b"\0" * pad + secret.encode())[(4 if pad else 0) : -4].decode()[(1 if pad else 0) :] for pad in (0, 1, 2)]
    return [secret, secret.encode().hex(), *middles]


def found(secret: str, text: str) -> str:
    """Where it stands in the text, with what is around it; empty when it does not."""
    for spelling in spellings(secret):
        if (place := text.find(spelling)) >= 0:
            return text[max(0, place - 200) : place + 200]
    return ""


class Ear:
    """All that goes through Redis while it listens, the arguments of tasks among it."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.monitor = redis.Redis.from_url(settings.REDIS_URL).monitor()  # type: ignore[no-untyped-call]  # redis has no types there
        self.monitor.__enter__()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            for command in self.monitor.listen():
                self.heard.append(str(command["command"]))
        except (redis.ConnectionError, ValueError, OSError):
            return  # it was closed

    @property
    def text(self) -> str:
        """With the bodies of messages, which Celery packs as base64, also as they read."""
        heard = "\n".join(self.heard)
        return heard + "".join(base64.b64decode(body).decode(errors="replace") for body in re.findall(r'"body": "([\w+/=]+)"', heard))

    def close(self) -> None:
        self.monitor.connection.disconnect()


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with echoing() as server:
        yield server


@pytest.fixture(scope="module")
def stack(echo: Echo) -> Iterator[Stack]:
    """web, replies and a worker with its clock, whose own secrets are canaries too."""
    own = {
        "SECRET_KEY": CONFIDED["signing"] * 3,
        "FIELD_ENCRYPTION_KEYS": CONFIDED["sealing"],
        "ANTHROPIC_API_KEY": CONFIDED["provider"],
        "ANTHROPIC_BASE_URL": f"{echo.url}/refusing",
        "METRICS_TOKEN": CONFIDED["metrics"],
        "TOOL_ORIGINS": f"slack.com={echo.url}",
        "EGRESS_ALLOW": "127.0.0.1",
    }
    running = Stack("secrets", fresh_database(DATABASE), settings.REDIS_URL, **own)
    try:
        running.start(*PROCESSES)
        running.wait_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture
def person(stack: Stack, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """An operator who looks at everything; the ORM and the keys of this process are those of the stack."""
    monkeypatch.setattr(settings, "SECRET_KEY", CONFIDED["signing"] * 3)
    monkeypatch.setattr(settings, "FIELD_ENCRYPTION_KEYS", [CONFIDED["sealing"]])
    with django_db_blocker.unblock(), working_in(database_url(DATABASE)):
        user = User.objects.create_superuser("operator@api.example.com", "correct horse battery")
        lift_limits(user)
        yield user


@pytest.fixture
def desks() -> Iterator[tuple[Fake, Fake]]:
    """An MCP server that takes a header, and one where people sign in."""
    shared, own = Fake(headers={"x-desk": CONFIDED["header"]}), Fake(oauth=True)
    with serving(shared.application()) as first, serving(own.application()) as second:
        shared.url, own.url = first, second
        yield shared, own


def sign_in(browser: Browser, fake: Fake, address: str) -> None:
    path = address.partition("/connect/")[2]
    away = browser.post(f"/connect/{path}", sign_in="1")
    link = re.search(r'href="([^"]+/as/authorize[^"]+)"', away.text)
    assert link, away.text
    back = browser.get("/connect/return?" + fake.authorize(link[1].replace("&amp;", "&")))
    assert "is connected" in back.text, back.text


def give(who: Caller, browser: Browser, echo: Echo, shared: Fake, own: Fake) -> list[str]:
    """Confides each canary in its way; the secrets that were made meanwhile."""
    config = {"token": CONFIDED["config"], "base_url": echo.url}
    assert who.post("/v1/tools", {"name": "lab", "provider": "gitlab-search-issues", "config": config, "approval": "allow"}).status == 201
    template = {
        "url": f"{echo.url}/fine?key={{{{secrets.KEY}}}}",
        "headers": json.dumps({"Authorization": "Bearer {{secrets.KEY}}"}),
        "secrets": json.dumps({"KEY": CONFIDED["template"]}),
    }
    made = who.post("/v1/tools", {"name": "anything", "provider": "http-call", "config": template, "approval": "allow"})
    assert made.status == 201, made
    for name, path in (("hook", "/fine"), ("bad_hook", "/refused"), ("broken_hook", "/broken")):
        schema = {"type": "object", "properties": {"what": {"type": "string"}}}
        hook = {"name": name, "description": "Echoes.", "input_schema": schema, "webhook_url": f"{echo.url}{path}", "approval": "allow"}
        echo.known[path] = who.post("/v1/tools", hook).json["secret"]
    desk = {"name": "desk", "server_url": shared.mcp, "auth_headers": {"X-Desk": CONFIDED["header"]}}
    assert who.post("/v1/mcp-servers", desk).status == 201
    assert who.post("/v1/mcp-servers", {"name": "own", "server_url": own.mcp, "auth_mode": "per_user"}).status == 201
    sign_in(browser, own, browser.request("POST", "/connect/start", {"tool": "qlaud-mcp/own"}).headers["location"])
    slack = {"action": "connect", "tool": "slack-post-message", "credentials": {"token": CONFIDED["connection"]}}
    assert who.post("/v1/connections", slack).status == 200
    # What is refused is not repeated either.
    refused = [
        who.post("/v1/tools", {"name": "x", "provider": "gitlab-search-issues", "config": {"token": [CONFIDED["refused"]]}}),
        who.post("/v1/connections", slack | {"credentials": {"token": CONFIDED["refused"], "more": CONFIDED["refused"]}}),
        who.post("/v1/mcp-servers", desk | {"name": "two", "auth_headers": {"Host": CONFIDED["refused"]}}),
        who.post("/v1/mcp-servers", {"name": "three", "server_url": f"{echo.url}/no", "auth_headers": {"X-Key": CONFIDED["refused"]}}),
        who.post("/v1/tools", f'{{"name": "{CONFIDED["malformed"]}'.encode()),
        Caller(who.url, CONFIDED["unknown key"]).get("/v1/tools"),
    ]
    for reply in refused:
        assert reply.status >= 400
        assert not [name for name, secret in CONFIDED.items() if found(secret, reply.body.decode())], reply
    return [*echo.known.values(), *own.access, *own.refresh, "client-s3cret-value"]


CALLS = [
    ("lab", {"project": "a/b", "search": SAID}),
    ("anything", {"what": SAID}),
    ("hook", {"what": SAID}),
    ("bad_hook", {"what": SAID}),
    ("broken_hook", {"what": SAID}),
    ("desk/search", {"q": SAID}),
    ("desk/create_issue", {"title": SAID}),
    ("own/search", {"q": SAID}),
    ("slack-post-message", {"channel": "C1", "text": SAID}),
]


def converse(who: Caller, page: Page, thread_id: str) -> str:
    """Every call by the API, streamed, and once more on the page; all that came back."""
    seen = ""
    for name, arguments in CALLS:
        with who.stream(thread_id, f"use {name} with {json.dumps(arguments)}", model="demo", tools_mode="dynamic") as stream:
            for event in stream:
                seen += event.raw
                if event.name == "qlaud.approval_required":
                    answer = {"decision": "once", "token": event.data["token"]}
                    assert who.post(f"/v1/threads/{thread_id}/approvals/{event.data['approval_id']}", answer).status == 200
    seen += who.send(thread_id, f"Hello, {SAID}").body.decode()  # to the provider, which refuses our key and says it back
    for name, arguments in CALLS[:4]:
        assert page.send(f"use {name} with {json.dumps(arguments)}").status < 400
        page.until(lambda page: page.over, 30)
    return seen + json.dumps([frame for _, frame in page.frames])


def later(shared: Fake, own: Fake) -> None:
    """What the worker does of itself, now: tokens renewed, lists asked for by a server in trouble, tokens given back."""
    shared.trouble = "error"
    before = set(own.access)
    Connection.objects.filter(kind="oauth").update(refresh_at=timezone.now(), tools_cache_at=None)
    McpServer.objects.update(tools_cache_at=None)
    with closing(Celery(broker=settings.REDIS_URL)) as worker:
        worker.send_task("tools.keep_connections")
        until(lambda: own.access != before and not McpServer.objects.filter(tools_cache_at=None, auth_mode="tenant").exists(), 60)


def read_everything(who: Caller, browser: Browser, thread_id: str) -> str:
    """Every page and answer that tells of tools, of calls and of what came of them."""
    paths = ["tools", "builtins", "mcp-servers", "mcp-catalog", "usage", f"threads/{thread_id}", f"threads/{thread_id}/messages?limit=200"]
    texts = [who.get(f"/v1/{path}").body.decode() for path in paths]
    texts += [who.post("/v1/connections", {"action": "list"}).body.decode()]
    turns = Turn.objects.filter(thread_id=thread_id)
    texts += ["".join(event.raw for event in who.events(thread_id, str(turn.pk))) for turn in turns]
    texts += [browser.get(path).text for path in (f"/c/{thread_id}", "/settings/tools/", "/settings/connections/")]
    for model in admin.site._registry:
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        texts.append(browser.get(reverse(f"{base}_changelist")).text)
        if model._meta.app_label in ("tools", "threads"):
            rows = model._base_manager.all()[:60]
            texts += [browser.get(reverse(f"{base}_change", args=[row.pk])).text for row in rows]
    return "".join(texts)


def dumped() -> str:
    """Every row of every table, as text."""
    with psycopg.connect(database_url(DATABASE)) as database:
        tables = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = (database.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))) for (name,) in tables)
        return "\n".join(row for table in rows for (row,) in table)


def test_nothing_that_was_confided_is_found_anywhere(stack: Stack, person: User, echo: Echo, desks: tuple[Fake, Fake]) -> None:
    shared, own = desks
    ear = Ear()
    who = Caller(stack.url, keys.mint(person, "operator", "admin")[1])
    browser = Browser(stack.url, person)
    secrets = {**CONFIDED}
    made = give(who, browser, echo, shared, own)
    thread_id = who.thread(title="Canaries")
    page_thread = create_thread(person).pk
    with Page(browser, page_thread) as page:
        seen = converse(who, page.open(), thread_id)
    later(shared, own)
    secrets |= {f"made {number}": secret for number, secret in enumerate([*made, *own.access, *own.refresh])}
    places: dict[str, str] = {name: stack.log(name).decode(errors="replace") for name in PROCESSES}
    places |= {"seen": seen, "read": read_everything(who, browser, thread_id) + browser.get(f"/c/{page_thread}").text}
    places |= {"database": dumped(), "Redis": ear.text}
    ear.close()
    for place, text in places.items():
        for name, secret in secrets.items():
            assert not (near := found(secret, text)), f"{name} in {place}: {near}"
    for place in (*PROCESSES, "Redis"):
        assert not (near := found(SAID, places[place])), f"what a person said is in {place}: {near}"
    check_that_it_was_there(places, echo, shared, own)


def check_that_it_was_there(places: dict[str, str], echo: Echo, shared: Fake, own: Fake) -> None:
    """A sweep that looks at nothing finds nothing."""
    assert all(CONFIDED[name] in echo.heard for name in ("config", "template", "connection", "provider", "refused"))
    assert {name for name, _ in shared.calls} >= {"search", "create_issue"}
    assert [name for name, _ in own.calls] == ["search"]
    assert all(found(SAID, places[place]) for place in ("seen", "read", "database"))
    assert "tools.keep_connections" in places["Redis"]
    assert all(places[name] for name in PROCESSES)
    assert places["seen"].count("[hidden]") >= 6
    assert ToolCall.objects.filter(status="done").count() >= len(CALLS) + 4
    assert not Leftover.objects.exists()
