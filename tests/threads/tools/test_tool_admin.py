"""Tool calls in the admin: found by everything, explained in full, read by few, and run again only where that changes nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from chatai.lib.ids import uuid7
from chatai.lib.later import LaterResponse
from threads import chain
from threads.models import Approval, Message, Thread, ToolCall, Turn

CANARY = "what-only-readers-may-see"


@pytest.fixture(autouse=True)
def known_types() -> None:
    """Tests that commit empty the tables behind them, and what is remembered of their rows is wrong then."""
    ContentType.objects.clear_cache()


def add(turn: Turn, previous: bytes, number: int, seconds: float, **fields: Any) -> tuple[ToolCall, bytes]:
    """A finished call, in the chain."""
    made = {"id": uuid7(), "turn_id": turn.pk, "tool_use_id": f"toolu_{number}", "status": "done", "position": number, "attempts": 1}
    row = {name: getattr(ToolCall(), name) for name in chain.COLUMNS} | {"arguments": {}, "name": "calculator"} | made | fields
    link = chain.link(previous, row)
    now = timezone.now()
    times = {"created_at": now - timedelta(seconds=seconds + 1), "started_at": now - timedelta(seconds=seconds), "finished_at": now}
    return ToolCall.objects.create(**row, **times, chain_number=number, chain_hash=link), link


@pytest.fixture
def turn(owner: User) -> Turn:
    thread = Thread.objects.create(user=owner, title=CANARY)
    turn = Turn.objects.create(thread=thread, number=1, request_id="r", request_digest=b"", model="demo", status="done", iterations=2)
    asked = [{"type": "text", "text": "I will look."}, {"type": "tool_use", "id": "toolu_0", "name": "calculator", "input": {}}]
    Message.objects.create(thread=thread, turn=turn, seq=1, role="user", content=[{"type": "text", "text": CANARY}])
    Message.objects.create(thread=thread, turn=turn, seq=2, role="assistant", content=asked, model="demo", stop_reason="tool_use")
    Message.objects.create(thread=thread, turn=turn, seq=3, role="assistant", content=[{"type": "text", "text": "84"}], model="demo")
    _, link = add(turn, chain.START, 0, 2, kind="builtin", writes=False, arguments={"expression": "12*7"}, result={"was": CANARY})
    outer, link = add(turn, link, 1, 20, name="qlaud_multi_execute", kind="meta")
    add(
        turn,
        link,
        2,
        15,
        name="linear/create_issue",
        kind="mcp",
        parent_id=outer.pk,
        writes=True,
        verdict="ask",
        verdict_by="the owner",
        credential="connection 7",
        http_status=503,
        is_error=True,
        error_kind="unavailable",
        attempts=3,
        status="failed",
    )
    Approval.objects.create(
        call=ToolCall.objects.get(tool_use_id="toolu_2"),
        state="allowed",
        arguments={},
        arguments_digest=b"",
        decision="once",
        decided_by=owner,
        decided_at=timezone.now(),
        edited={"title": "x"},
        expires_at=timezone.now(),
    )
    return turn


@pytest.fixture
def admin(db: None, client_of: Callable[[User], Client]) -> Client:
    return client_of(User.objects.create_superuser("root@example.com", "correct horse battery"))


def listed(client: Client, **query: str) -> list[str]:
    html = client.get(reverse("admin:threads_toolcall_changelist"), query).content.decode()
    assert CANARY not in html, "lists show no content"
    return re.findall(r'class="field-name">([^<]+)<', html)


def call(number: int) -> ToolCall:
    return ToolCall.objects.get(tool_use_id=f"toolu_{number}")


def test_calls_are_found_by_tool_user_status_time_duration_and_thread(admin: Client, turn: Turn, stranger: User) -> None:
    everything = ["linear/create_issue", "qlaud_multi_execute", "calculator"]
    assert sorted(listed(admin)) == sorted(everything)
    for query in ({"q": str(turn.pk)}, {"q": str(turn.thread_id)}, {"q": "owner@"}, {"within": "1"}):
        assert sorted(listed(admin, **query)) == sorted(everything), query
    assert listed(admin, q=stranger.email) == []
    assert listed(admin, q=str(uuid4())) == []
    assert listed(admin, q="calculator") == listed(admin, tool="calculator") == ["calculator"]
    assert listed(admin, q=str(call(0).pk)) == ["calculator"]
    assert listed(admin, status="failed") == listed(admin, status="error") == ["linear/create_issue"]
    assert listed(admin, over="10", status="done") == ["qlaud_multi_execute"]
    ToolCall.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert listed(admin, within="24") == []


def test_the_timeline_of_a_turn_tells_each_step_and_what_each_call_was_allowed_by(admin: Client, turn: Turn) -> None:
    html = admin.get(reverse("admin:threads_turn_change", args=[turn.pk])).content.decode()
    told = re.sub(r"<[^>]+>|\s+", " ", html[html.index('id="timeline"') :])
    order = [
        told.index(word)
        for word in ("Model call 1", "I will look", "calculator", "qlaud_multi_execute", "linear/create_issue", "Model call 2")
    ]
    assert order == sorted(order)
    for fact in (
        "by the owner",
        "with connection 7",
        "HTTP 503",
        "3 attempts",
        "unavailable",
        "&quot;12*7&quot;",
        "chain over 3 finished calls fits",
    ):
        assert fact in told, fact


def test_a_page_of_a_call_tells_all_of_it_and_is_recorded(admin: Client, turn: Turn, owner: User) -> None:
    html = admin.get(reverse("admin:threads_toolcall_change", args=[call(2).pk])).content.decode()
    for fact in ("connection 7", "503", "may write", "qlaud_multi_execute", "with other arguments", "owner@example.com"):
        assert fact in html, fact
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (str(owner.pk), f"Read tool call {call(2).pk}")


def test_a_changed_row_is_named_on_the_page_of_the_call_and_of_the_turn(admin: Client, turn: Turn) -> None:
    ToolCall.objects.filter(tool_use_id="toolu_0").update(result={"was": "something else"})
    for name, pk in (("toolcall", call(0).pk), ("turn", turn.pk)):
        html = admin.get(reverse(f"admin:threads_{name}_change", args=[pk])).content.decode()
        assert f"call {call(0).pk}: changed since it was written" in html


def test_staff_who_may_list_calls_read_none_without_the_permission_to_read(
    client_of: Callable[[User], Client], member: User, turn: Turn
) -> None:
    member.is_staff = True
    member.save(update_fields=["is_staff"])
    member.user_permissions.add(Permission.objects.get(codename="view_toolcall"))
    assert listed(client_of(member))
    address = reverse("admin:threads_toolcall_change", args=[call(0).pk])
    assert client_of(member).get(address).status_code == 403
    member.user_permissions.add(Permission.objects.get(codename="read_conversations"))
    html = client_of(member).get(address).content.decode()
    assert CANARY in html
    assert "Run again" not in html
    assert client_of(member).post(reverse("admin:threads_toolcall_again", args=[call(0).pk])).status_code == 403


def again(client: Client, number: int) -> Any:
    return client.post(reverse("admin:threads_toolcall_again", args=[call(number).pk]))


@pytest.mark.django_db(transaction=True)
def test_a_call_that_only_reads_is_run_again_and_recorded(admin: Client, turn: Turn) -> None:
    assert "Run again with these arguments" in admin.get(reverse("admin:threads_toolcall_change", args=[call(0).pk])).content.decode()
    response = again(admin, 0)
    assert isinstance(response, LaterResponse)
    html = cast(HttpResponse, asyncio.run(response.resolve())).content.decode()
    assert "<h2>Now</h2><pre>84</pre>" in html
    assert CANARY in html, "what came back then"
    assert LogEntry.objects.latest("pk").change_message == f"Ran calculator again with the arguments of tool call {call(0).pk}"
    assert call(0).attempts == 1, "the row is as it was"


@pytest.mark.parametrize("number", [1, 2])
def test_a_call_that_may_have_written_is_never_run_again(admin: Client, turn: Turn, number: int) -> None:
    assert again(admin, number).status_code == 403
    assert "Run again" not in admin.get(reverse("admin:threads_toolcall_change", args=[call(number).pk])).content.decode()
    assert admin.get(reverse("admin:threads_toolcall_again", args=[call(0).pk])).status_code == 403, "nothing runs on a GET"
