"""Answering on the page what tools ask, and the files and results behind a card."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from tests.dom import parse
from threads import approvals
from threads.attachments import store_blocks
from threads.models import Approval, StoredFile, Thread, ToolCall, Turn
from tools.models import ToolRule

SCHEMA = {"type": "object", "properties": {"team": {"type": "string"}, "count": {"type": "integer"}}, "required": ["team"]}


@pytest.fixture
def thread(owner: User) -> Thread:
    return Thread.objects.create(user=owner)


@pytest.fixture
def waiting(thread: Thread) -> Turn:
    turn = Turn.objects.create(
        thread=thread, number=1, request_id="r", request_digest=b"", model="demo", status="waiting", first_seq=1, ring=0
    )
    Thread.objects.filter(pk=thread.pk).update(active_turn=turn)
    return turn


def question(turn: Turn, kind: str = "approval") -> Approval:
    call = ToolCall.objects.create(
        turn=turn, tool_use_id=f"toolu_{kind}", name="linear/create_issue", version="v1", arguments={"title": "a"}
    )
    return Approval.objects.create(
        call=call,
        kind=kind,
        arguments=call.arguments,
        arguments_digest=approvals.digest_of(call.name, call.version, call.arguments),
        question={"asked_by": "linear", "message": "Which team?", "schema": SCHEMA} if kind == "form" else None,
        expires_at=timezone.now() + timedelta(hours=24),
    )


def post(client: Client, asked: Approval, door: str, *, script: bool = True, **fields: Any) -> Any:
    headers = {"X-Requested-With": "fetch"} if script else {}
    return client.post(f"/c/approvals/{asked.pk}/{door}", fields, headers=headers)


@pytest.mark.parametrize(("decision", "state"), [("once", "allowed"), ("chat", "allowed"), ("deny", "denied")])
def test_a_button_decides_once_and_for_this_call(
    decision: str, state: str, waiting: Turn, owner: User, client_of: Callable[[User], Client]
) -> None:
    asked = question(waiting)
    token: Any = {decision: approvals.token_of(asked)}
    assert post(client_of(owner), asked, "decide", **token).status_code == 204
    asked.refresh_from_db()
    waiting.refresh_from_db()
    assert (asked.state, asked.decision, asked.decided_by, waiting.status) == (state, decision, owner, "running")
    assert ToolRule.objects.filter(user=owner, thread_id=waiting.thread_id, verdict="allow").exists() == (decision == "chat")
    again = post(client_of(owner), asked, "decide", **token)
    assert again.status_code == 409
    assert "no longer open" in again.content.decode()


def test_without_a_script_the_same_button_leads_back_to_the_chat(waiting: Turn, owner: User, client_of: Callable[[User], Client]) -> None:
    asked = question(waiting)
    response = post(client_of(owner), asked, "decide", script=False, once=approvals.token_of(asked))
    assert (response.status_code, response.url) == (302, f"/c/{waiting.thread_id}")


def test_a_token_of_another_question_or_of_other_arguments_opens_nothing(
    waiting: Turn, owner: User, client_of: Callable[[User], Client]
) -> None:
    asked, other = question(waiting), question(waiting, "form")
    digest = approvals.digest_of("linear/create_issue", "v1", {"title": "b"})
    for token in (approvals.token_of(other), approvals.token_for(asked.pk, digest), "", "é"):
        assert post(client_of(owner), asked, "decide", once=token).status_code == 403
    asked.refresh_from_db()
    assert asked.state == "pending"


def test_arguments_are_edited_on_a_page_or_in_the_card(waiting: Turn, owner: User, client_of: Callable[[User], Client]) -> None:
    asked, client = question(waiting), client_of(owner)
    page = client.get(f"/c/approvals/{asked.pk}")
    assert parse(page.content.decode()).one("textarea").text.strip() == '{\n  "title": "a"\n}'
    part = client.get(f"/c/approvals/{asked.pk}", headers={"X-Requested-With": "fetch"}).content.decode()
    assert part.startswith("<form")
    token = approvals.token_of(asked)
    for wrong in ("{", "[1]", '"x"', '{"title": "\\ud800"'):
        refused = post(client, asked, "decide", script=False, once=token, arguments=wrong)
        assert refused.status_code == 400, wrong
        assert "arguments" in refused.content.decode()
    assert post(client, asked, "decide", once=token, arguments="{").status_code == 400
    assert post(client, asked, "decide", once=token, arguments='{"title": "better"}').status_code == 204
    asked.refresh_from_db()
    assert asked.edited == {"title": "better"}


def test_a_form_is_filled_in_checked_and_answered(waiting: Turn, owner: User, client_of: Callable[[User], Client]) -> None:
    asked, client = question(waiting, "form"), client_of(owner)
    assert "Which team?" in client.get(f"/c/approvals/{asked.pk}").content.decode()
    token = approvals.token_of(asked)
    missing = post(client, asked, "answer", token=token, action="accept")
    assert (missing.status_code, "“team” is needed" in missing.content.decode()) == (400, True)
    given: Any = {"field.team": "eng", "field.count": "2"}
    assert post(client, asked, "answer", token=token, action="accept", **given).status_code == 204
    asked.refresh_from_db()
    assert (asked.state, asked.decision, asked.edited) == ("answered", "accept", {"team": "eng", "count": 2})
    assert post(client, asked, "answer", token=token, action="decline").status_code == 404, "closed ones look like none"


def test_an_expired_question_is_closed_to_everybody(waiting: Turn, owner: User, client_of: Callable[[User], Client]) -> None:
    asked = question(waiting)
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert post(client_of(owner), asked, "decide", once=approvals.token_of(asked)).status_code == 409
    assert client_of(owner).get(f"/c/approvals/{asked.pk}").status_code == 404


def test_strangers_see_and_decide_nothing(waiting: Turn, stranger: User, client_of: Callable[[User], Client]) -> None:
    asked = question(waiting)
    client = client_of(stranger)
    assert client.get(f"/c/approvals/{asked.pk}").status_code == 404
    assert post(client, asked, "decide", once=approvals.token_of(asked)).status_code == 404
    assert post(Client(), asked, "decide", once=approvals.token_of(asked)).status_code == 401
    asked.refresh_from_db()
    assert asked.state == "pending"


def stored(owner: User, thread: Thread, media_type: str, content: bytes) -> StoredFile:
    kind = "image" if media_type.startswith("image/") else "document"
    data = base64.b64encode(content).decode()
    store_blocks(owner, thread.pk, [{"type": kind, "source": {"type": "base64", "media_type": media_type, "data": data}}])
    return thread.files.get(media_type=media_type)


def test_files_are_inert_and_their_owners(thread: Thread, owner: User, stranger: User, client_of: Callable[[User], Client]) -> None:
    picture, text = stored(owner, thread, "image/png", b"\x89PNG"), stored(owner, thread, "text/plain", b"<script>1</script>")
    StoredFile.objects.filter(pk=picture.pk).update(media_type="image/svg+xml")
    for file, kind, shown in ((picture, "image/svg+xml", "inline"), (text, "application/octet-stream", "attachment")):
        response = client_of(owner).get(f"/c/files/{file.pk}")
        assert (response.status_code, response["Content-Type"], response["Content-Disposition"]) == (200, kind, shown)
        assert "sandbox" in response["Content-Security-Policy"]
        assert "default-src 'none'" in response["Content-Security-Policy"]
        assert response["X-Content-Type-Options"] == "nosniff"
        assert client_of(stranger).get(f"/c/files/{file.pk}").status_code == 404
    Thread.objects.update(deleted_at=timezone.now())
    assert client_of(owner).get(f"/c/files/{text.pk}").status_code == 404, "with the chat go its files"


def test_all_of_a_result_is_plain_text(waiting: Turn, owner: User, client_of: Callable[[User], Client]) -> None:
    ToolCall.objects.create(turn=waiting, tool_use_id="call/1?", name="n", arguments={}, result={"html": "<script>1</script>"})
    response = client_of(owner).get(f"/c/calls/{waiting.pk}/call%2F1%3F")
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert "<script>" in response.content.decode()
