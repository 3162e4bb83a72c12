"""The pages of a conversation over HTTP, as their owner, as a stranger and signed out."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Protocol
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from threads.models import Message, Thread, Turn
from threads.providers import catalog

ClientOf = Callable[[User], Client]
SCRIPT = {"X-Requested-With": "fetch"}
HTMX = {"HX-Request": "true"}
PAGES = ["", "/older?before=1", "/text/1"]
ACTIONS = ["send", "stop", "read", "rename", "pin", "archive", "delete", "undo"]


def conversation(user: User, pairs: int, title: str = "About sets") -> Thread:
    """A thread of `pairs` questions with their answers."""
    thread = Thread.objects.create(user=user, title=title, turn_count=pairs, last_seq=2 * pairs, read_seq=2 * pairs, model="demo")
    turns = [
        Turn(thread=thread, number=n, request_id=str(uuid4()), request_digest=b"", model="demo", status="done", first_seq=2 * n - 1)
        for n in range(1, pairs + 1)
    ]
    Turn.objects.bulk_create(turns)
    Message.objects.bulk_create(
        Message(
            thread=thread, turn=turn, seq=2 * turn.number - answered, role=role, content=[{"type": "text", "text": f"{role} {turn.number}"}]
        )
        for turn in turns
        for role, answered in (("user", 1), ("assistant", 0))
    )
    return thread


class Answer(Protocol):
    @property
    def content(self) -> bytes: ...


def html(response: Answer) -> str:
    """Without the form tokens, which are never the same twice."""
    return re.sub(r"\b[A-Za-z0-9]{64}\b", "token", response.content.decode())


def shown(response: Answer) -> list[int]:
    return [int(seq) for seq in re.findall(r'data-seq="(\d+)"', html(response))]


def row_order(response: Answer) -> list[str]:
    return re.findall(r'<li id="thread-([0-9a-f-]+)"', html(response))


@pytest.fixture
def thread(owner: User) -> Thread:
    return conversation(owner, 3)


@pytest.fixture
def page(owner: User, client_of: ClientOf) -> Client:
    return client_of(owner)


def test_a_visitor_sees_the_landing_page_and_is_sent_to_sign_in_from_everything_else(client: Client, thread: Thread) -> None:
    landing = client.get("/")
    assert landing.status_code == 200
    assert "Sign in" in html(landing)
    for path in ("/c/new", "/c/all", "/c/archived", *(f"/c/{thread.pk}{rest}" for rest in PAGES)):
        response = client.get(path)
        assert (response.status_code, response.headers["Location"].split("?")[0]) == (302, "/accounts/login/"), path
    assert client.post(f"/c/{thread.pk}/send", {"text": "hi", "request_id": uuid4()}, headers=SCRIPT).status_code == 401


def test_home_leads_to_the_newest_chat_or_to_a_new_one(page: Client, owner: User) -> None:
    assert page.get("/").headers["Location"] == "/c/new"
    conversation(owner, 1)
    newest = conversation(owner, 1)
    assert page.get("/").headers["Location"] == f"/c/{newest.pk}"


@pytest.mark.parametrize("rest", PAGES)
def test_foreign_and_missing_threads_look_the_same_to_readers(rest: str, thread: Thread, stranger: User, client_of: ClientOf) -> None:
    other = client_of(stranger)
    foreign, missing = other.get(f"/c/{thread.pk}{rest}"), other.get(f"/c/{uuid4()}{rest}")
    assert foreign.status_code == missing.status_code == 404
    assert html(foreign) == html(missing)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("headers", [{}, SCRIPT], ids=["form", "script"])
def test_a_stranger_changes_nothing(action: str, headers: dict[str, str], thread: Thread, stranger: User, client_of: ClientOf) -> None:
    before = Thread.objects.values().get(pk=thread.pk)
    other = client_of(stranger)
    fields = {"text": "mine now", "request_id": str(uuid4()), "title": "Mine", "on": "1", "model": "demo"}
    assert other.post(f"/c/{thread.pk}/{action}", fields, headers=headers).status_code == 404
    assert other.post(f"/c/{uuid4()}/{action}", fields, headers=headers).status_code == 404
    assert Thread.objects.values().get(pk=thread.pk) == before


def test_a_stranger_cannot_take_a_thread_id_for_a_new_chat(thread: Thread, stranger: User, client_of: ClientOf) -> None:
    fields = {"text": "hi", "request_id": str(uuid4()), "model": "demo", "new": "1"}
    assert client_of(stranger).post(f"/c/{thread.pk}/send", fields, headers=SCRIPT).status_code == 404
    assert Turn.objects.filter(thread=thread).count() == 3


def test_the_page_has_the_hooks_that_scripts_and_readers_rely_on(page: Client, thread: Thread) -> None:
    text = html(page.get(f"/c/{thread.pk}"))
    for hook in (
        'id="messages" role="log"',
        '<form id="composer"',
        '<textarea id="text" class="bare" name="text"',
        'name="stop"',
        'name="model"',
        '<nav id="threads"',
        f'href="/c/{thread.pk}" aria-current="page"',
        'id="threads-pinned"',
        'id="threads-today"',
        f'data-socket="/ws/c/{thread.pk}/"',
    ):
        assert hook in text, hook
    articles = re.findall(r"<article[^>]*>", text.split("<template")[0])
    assert len(articles) == 6
    assert all(f"data-{name}=" in article for article in articles for name in ("seq", "role", "status"))


@pytest.mark.parametrize("path", ["/", "/c/new", "/c/archived", "/c/all", "thread"])
def test_no_page_carries_script_or_style_of_its_own(path: str, page: Client, thread: Thread) -> None:
    response = page.get(f"/c/{thread.pk}" if path == "thread" else path, follow=True)
    assert response.status_code == 200
    text = html(response)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]


def test_a_page_holds_the_newest_thirty_messages_and_the_way_to_older_ones(page: Client, owner: User) -> None:
    thread = conversation(owner, 50)
    seen = shown(page.get(f"/c/{thread.pk}"))
    assert seen == list(range(71, 101))
    while seen[0] > 1:
        older = shown(page.get(f"/c/{thread.pk}/older?before={seen[0]}"))
        assert older == list(range(max(1, seen[0] - 30), seen[0]))
        seen = older + seen
    assert seen == list(range(1, 101))
    assert shown(page.get(f"/c/{thread.pk}/older?before=1")) == []
    assert shown(page.get(f"/c/{thread.pk}?before=71")) == list(range(41, 71)), "without script, by a link"


@pytest.mark.parametrize("before", ["", "0", "-1", "8", "99999999999999999999", "1e3", "x", "٣", "1;drop"])
def test_a_forged_or_far_cursor_is_refused(before: str, page: Client, thread: Thread) -> None:
    assert page.get(f"/c/{thread.pk}/older", {"before": before}).status_code == 400
    assert page.get("/c/all", {"before": f"{before}_"}).status_code == 400


def test_a_long_thread_costs_the_queries_of_a_short_one(page: Client, owner: User) -> None:
    short, long = conversation(owner, 3), conversation(owner, 300)
    counts = []
    for thread in (short, short, long, long):
        catalog.offered()  # is kept for some seconds, whoever asks first
        with CaptureQueriesContext(connection) as queries:
            assert page.get(f"/c/{thread.pk}").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[2], "drawn for the first time"
    assert counts[1] == counts[3]
    assert max(counts) <= 12


def test_a_message_is_sent_by_a_plain_form(page: Client, owner: User) -> None:
    form = html(page.get("/c/new"))
    thread_id = re.search(r'action="/c/([0-9a-f-]{36})/send"', form)
    request_id = re.search(r'name="request_id" value="([0-9a-f-]{36})"', form)
    assert thread_id
    assert request_id
    fields = {"text": "Line one\r\nline two", "model": "demo", "request_id": request_id[1], "new": "1"}
    sent = page.post(f"/c/{thread_id[1]}/send", fields)
    assert (sent.status_code, sent.headers["Location"]) == (302, f"/c/{thread_id[1]}")
    again = page.post(f"/c/{thread_id[1]}/send", fields, headers=SCRIPT)
    assert (again.status_code, again.content) == (204, b"")
    thread = Thread.objects.get(pk=thread_id[1], user=owner)
    question = Message.objects.get(thread=thread, role="user")
    assert question.content == [{"type": "text", "text": "Line one\nline two"}]
    text = html(page.get(f"/c/{thread.pk}"))
    assert f'id="t-{request_id[1]}"' in text
    assert 'data-status="queued"' in text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"text": " \n "}, 400),
        ({"text": "x" * 1_000_000}, 413),
        ({"model": "no-such-model"}, 400),
        ({"request_id": ""}, 400),
        ({"request_id": "not-a-uuid"}, 400),
    ],
    ids=["empty", "a megabyte", "unknown model", "no request id", "bad request id"],
)
def test_a_message_that_cannot_be_sent_is_refused_with_a_sentence(
    fields: dict[str, str], status: int, page: Client, thread: Thread
) -> None:
    whole = {"text": "hi", "model": "demo", "request_id": str(uuid4()), **fields}
    fragment = page.post(f"/c/{thread.pk}/send", whole, headers=SCRIPT)
    assert fragment.status_code == status
    assert html(fragment).startswith('<div class="alert')
    whole_page = page.post(f"/c/{thread.pk}/send", whole)
    assert whole_page.status_code == status
    assert "<h1>" in html(whole_page)
    assert Turn.objects.filter(thread=thread).count() == 3


def test_a_queued_message_is_taken_back_with_its_text(page: Client, thread: Thread, stranger: User, client_of: ClientOf) -> None:
    page.post(f"/c/{thread.pk}/send", {"text": "Not <yet>", "model": "demo", "request_id": str(uuid4())}, headers=SCRIPT)
    turn = Turn.objects.get(thread=thread, status="queued")
    path = f"/c/turns/{turn.pk}/withdraw"
    assert client_of(stranger).post(path, headers=SCRIPT).status_code == 404
    taken = page.post(path, headers=SCRIPT)
    assert (taken.content.decode(), taken.headers["Content-Type"]) == ("Not <yet>", "text/plain; charset=utf-8")
    assert page.post(path, headers=SCRIPT).status_code == 409


def test_copy_takes_the_message_as_it_was_written(page: Client, thread: Thread) -> None:
    Message.objects.filter(thread=thread, seq=2).update(content=[{"type": "text", "text": "**bold** <b>"}])
    response = page.get(f"/c/{thread.pk}/text/2")
    assert response.content == b"**bold** <b>"
    assert response.headers["Content-Type"].startswith("text/plain")
    assert page.get(f"/c/{thread.pk}/text/99999999999999999999").status_code == 404


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["form", "script"])
def test_a_chat_is_renamed_pinned_and_archived(headers: dict[str, str], page: Client, thread: Thread) -> None:
    def post(action: str, **fields: str) -> None:
        response = page.post(f"/c/{thread.pk}/{action}", fields, headers=headers)
        assert response.status_code == (200 if headers else 302), action
        thread.refresh_from_db()

    post("rename", title="<b>Sets</b>")
    assert thread.title == "<b>Sets</b>"
    assert "<b>Sets</b>" not in html(page.get(f"/c/{thread.pk}"))
    post("pin", on="1")
    assert thread.pinned_at
    post("pin", on="0")
    assert thread.pinned_at is None
    post("archive", on="1")
    assert thread.archived_at
    assert str(thread.pk) not in row_order(page.get("/c/new"))
    assert f"/c/{thread.pk}" in html(page.get("/c/archived"))
    post("archive", on="0")
    assert str(thread.pk) in row_order(page.get("/c/new"))


def test_a_title_must_say_something(page: Client, thread: Thread) -> None:
    assert page.post(f"/c/{thread.pk}/rename", {"title": "  "}, headers=HTMX).status_code == 400
    assert page.post(f"/c/{thread.pk}/rename", {"title": "x" * 201}, headers=HTMX).status_code == 400


def test_deleting_offers_undo_with_and_without_script(page: Client, thread: Thread) -> None:
    form = page.post(f"/c/{thread.pk}/delete", follow=True)
    assert f'action="/c/{thread.pk}/undo"' in html(form)
    assert page.get(f"/c/{thread.pk}").status_code == 404
    assert page.post(f"/c/{thread.pk}/undo").headers["Location"] == f"/c/{thread.pk}"
    assert page.get(f"/c/{thread.pk}").status_code == 200

    elsewhere = page.post(f"/c/{thread.pk}/delete", headers=HTMX)
    assert f'hx-target="#thread-{thread.pk}" hx-swap="delete"' in html(elsewhere)
    assert f'action="/c/{thread.pk}/undo"' in html(elsewhere)
    undone = page.post(f"/c/{thread.pk}/undo", headers=HTMX)
    assert str(thread.pk) in row_order(undone)

    here = page.post(f"/c/{thread.pk}/delete", headers=HTMX | {"HX-Current-URL": f"http://testserver/c/{thread.pk}"})
    assert here.headers["HX-Redirect"] == f"/c/new?deleted={thread.pk}"


def test_undo_of_someone_elses_chat_is_not_offered(page: Client, thread: Thread, stranger: User, client_of: ClientOf) -> None:
    page.post(f"/c/{thread.pk}/delete")
    assert "Chat deleted" not in html(client_of(stranger).get(f"/c/new?deleted={thread.pk}"))


def test_an_unread_answer_is_marked_in_the_list_of_other_pages(page: Client, thread: Thread) -> None:
    Thread.objects.filter(pk=thread.pk).update(read_seq=0)
    assert "data-unread" in html(page.get("/c/new"))
    Thread.objects.filter(pk=thread.pk).update(read_seq=F("last_seq"))
    assert "data-unread" not in html(page.get("/c/new"))


def test_chats_are_grouped_by_day_and_come_fifty_at_a_time(page: Client, owner: User) -> None:
    now = timezone.now()
    ages = [timedelta(0)] * 2 + [timedelta(days=1)] * 2 + [timedelta(days=5)] * 2 + [timedelta(days=20)] * 2 + [timedelta(days=90)] * 60
    rows = [Thread(user=owner, title=f"Chat {n}", last_active_at=now - age - timedelta(seconds=n)) for n, age in enumerate(ages)]
    Thread.objects.bulk_create(rows)
    pinned = Thread.objects.create(user=owner, title="Pinned", pinned_at=now)
    expected = [str(row.pk) for row in rows]
    first = page.get("/c/new")
    assert row_order(first) == [str(pinned.pk), *expected[:50]]
    labels = re.findall(r"<h2>([^<]+)</h2>", html(first))
    assert labels[:5] == ["Pinned", "Today", "Yesterday", "Previous 7 days", "Previous 30 days"]
    more = re.search(r'hx-get="(/c/all\?before=[^"]+)"', html(first))
    assert more
    second = page.get(unescape(more[1]), headers=HTMX)
    assert row_order(second) == expected[50:]
    month = f"#threads-{now - timedelta(days=90):%Y-%m}"
    assert f'hx-target="{month}" hx-swap="beforeend"' in html(second)
    without_script = page.get(unescape(more[1]))
    assert all(f"/c/{row}" in html(without_script) for row in expected[50:])


def test_days_begin_where_the_person_is(page: Client, owner: User, settings: object) -> None:
    page.cookies["tz"] = "Pacific/Kiritimati"
    assert page.get("/c/new").status_code == 200
    page.cookies["tz"] = "../../etc/passwd"
    assert page.get("/c/new").status_code == 200


def test_a_new_chat_gets_an_id_that_no_other_page_has(page: Client) -> None:
    forms = [re.findall(r'action="/c/([0-9a-f-]{36})/send"', html(page.get("/c/new"))) for _ in range(3)]
    assert len({UUID(thread_id) for [thread_id] in forms}) == 3
    assert Thread.objects.count() == 0, "nothing is stored until something is said"
