"""A conversation with each group of the catalogue, through the demo model and both SDK adapters: asked for, allowed, run, answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import cast

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from pytest_django import Settings

from accounts.models import User
from bench.strict import refused_by_anthropic, refused_by_openai
from tests.threads.scripted import bench_for
from tests.threads.tools.harness import Model, ask, process, rows
from tests.tools.catalogue import business, people, planning, web
from tests.tools.catalogue.case import Case, Exchange, case
from tests.tools.catalogue.vendor import Vendor
from threads import approvals
from threads.blocks import text_of
from threads.models import Approval, Thread, ToolCall, Turn
from threads.providers.demo import DemoProvider
from tools import connections, registry
from tools.holders import ACCOUNT

pytestmark = pytest.mark.django_db(transaction=True)

S3 = {"bucket": "acme", "region": "eu-central-1", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "canary-secret-key"}
OWN = [
    case("calculator", {"expression": "6 * 7"}, gives="42"),
    case("convert-units", {"value": 1, "from": "km", "to": "m"}, gives="1 km = 1000 m"),
    case("run-python", {"code": "6 * 7"}, gives={"value": "42"}),
    case("s3-read-object", {"key": "a.txt"}, Exchange("GET https://s3.eu-central-1.amazonaws.com/acme/a.txt", "text"), gives="text"),
]
ROWS = {row.tool: row for row in (*planning.CASES, *people.CASES, *business.CASES, *web.CASES, *OWN)}
CONFIGS = {name: account.config for table in (planning, people, business, web) for name, account in table.ACCOUNTS.items()} | {"s3": S3}
# One that reads and one that writes of each group, with the account that it needs.
GROUPS = {
    "on this machine": [("calculator", ""), ("convert-units", ""), ("run-python", "")],
    "the open web": [("wikipedia-search", ""), ("weather", ""), ("convert-currency", ""), ("web-search", "searxng")],
    "pictures": [("image-generation", "image-generation")],
    "code": [("github-search", "github"), ("gitlab-create-issue", "gitlab")],
    "tickets": [("linear-search-issues", "linear"), ("linear-create-issue", "linear"), ("jira-create-issue", "jira")],
    "tasks": [
        ("asana-list-tasks", "asana"),
        ("trello-create-card", "trello"),
        ("todoist-create-task", "todoist"),
        ("clickup-create-task", "clickup"),
    ],
    "notes": [("notion-search", "notion"), ("airtable-create-record", "airtable"), ("google-sheets-append", "google-sheets")],
    "chat": [
        ("slack-read-channel", "slack"),
        ("discord-post-message", "discord"),
        ("telegram-send-message", "telegram"),
        ("teams-post-message", "teams"),
    ],
    "mail and calendar": [
        ("google-calendar-list-events", "google-calendar"),
        ("gmail-send", "gmail"),
        ("outlook-send-mail", "outlook"),
        ("send-email", "resend"),
    ],
    "files": [("google-drive-read", "google-drive"), ("dropbox-write", "dropbox"), ("s3-read-object", "s3")],
    "customers": [("hubspot-search-contacts", "hubspot"), ("zendesk-create-ticket", "zendesk"), ("intercom-reply", "intercom")],
    "money": [("stripe-list-payments", "stripe"), ("shopify-search-orders", "shopify")],
    "alarms": [("sentry-search-issues", "sentry"), ("pagerduty-create-incident", "pagerduty"), ("posthog-query", "posthog")],
    "bookings": [("calendly-list-events", "calendly"), ("twilio-send-sms", "twilio")],
}


@pytest.fixture
def vendor(settings: Settings) -> Iterator[Vendor]:
    settings.EGRESS_ALLOW, settings.DEMO_DELAY_MS = ["127.0.0.1"], 0
    with Vendor() as vendor:
        settings.TOOL_ORIGINS = vendor.origins(*{exchange.host for row in ROWS.values() for exchange in row.exchanges})
        yield vendor


async def work(model: str) -> list[str]:
    """Answer what is queued; what the vendor's API would refuse of the requests."""
    if model == "demo":
        async with process(cast(Model, DemoProvider())) as one:
            await one.work()
        return []
    refuse = {"anthropic": refused_by_anthropic, "openai": refused_by_openai}[model]
    refused: list[str] = []
    async for bench in bench_for(model, ["sk-test"]):
        async with process(cast(Model, bench.provider)) as one:
            await one.work()
        refused = [said for request in bench.server.requests if (said := refuse(request.body))]
    return refused


def question(model: str, row: Case) -> str:
    arguments = json.dumps(row.arguments)
    if model == "demo":
        return f"Please use {row.tool} with {arguments}"
    calls = json.dumps({"calls": [{"tool": row.tool, "args": row.arguments}]}).replace("]]", "] ]")  # which would end the script
    return f"[[tokens=3 tool=qlaud_multi_execute args='{calls}']]"


def connect(user: User, row: Case, account: str) -> None:
    target = connections.find(user.pk, f"qlaud-builtin/{row.tool}")
    assert target is not None
    async_to_sync(connections.connect)(user.pk, ACCOUNT, target, dict(CONFIGS[account]))


def finish(model: str, turn: Turn, person: User, vendor: Vendor) -> list[str]:
    """Everything up to the end of the turn; what writes waits until it is allowed, once."""
    refused = asyncio.run(work(model))
    turn.refresh_from_db()
    if turn.status == Turn.Status.WAITING:
        assert vendor.asked == []
        for pending in Approval.objects.filter(call__turn=turn, state=Approval.State.PENDING):
            approvals.decide(person, pending.pk, approvals.token_of(pending), "once")
        refused += asyncio.run(work(model))
    connection.close()
    turn.refresh_from_db()
    return refused


def test_every_brand_of_the_catalogue_is_in_a_group() -> None:
    asked_for = [registry.builtin(tool) for group in GROUPS.values() for tool, _ in group]
    assert {one.brand for one in registry.builtins()} == {one.brand for one in asked_for if one is not None}


@pytest.mark.parametrize("model", ["demo", "anthropic", "openai"])
@pytest.mark.parametrize("group", GROUPS)
def test_a_conversation_with_a_group_of_the_catalogue(owner: User, thread: Thread, vendor: Vendor, group: str, model: str) -> None:
    for tool, account in GROUPS[group]:
        row = ROWS[tool]
        if account:
            connect(owner, row, account)
        vendor.answers(*(exchange.answer for exchange in row.exchanges))
        turn = ask(owner, thread, question(model, row))
        refused = finish(model, turn, owner, vendor)
        assert (turn.status, turn.iterations, refused) == ("done", 2, [])
        assert [asked.line for asked in vendor.asked] == [exchange.line for exchange in row.exchanges]
        call = ToolCall.objects.get(turn=turn, parent__isnull=False)
        assert (call.name, call.status, call.is_error, call.result) == (tool, "done", False, row.gives)
        assert call.verdict_by.partition(" ")[0] == ("approval" if call.writes else "default")
        told = rows(turn)
        assert [role for role, _ in told] == ["user", "assistant", "user", "assistant"]
        assert text_of(told[-1][1])
        assert "canary" not in json.dumps([content for _, content in told])
