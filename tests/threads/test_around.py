"""Opening a conversation at one of its messages: near its end, far from it, and in a version that is not read now."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from chatai.lib import hints
from tests.dom import parse
from tests.threads.dialogue import answer, say
from tests.threads.test_pages import conversation, html, shown
from threads import actions, load, removal
from threads.around import REACH
from threads.models import Message, Thread, Turn
from threads.providers import catalog

ClientOf = Callable[[User], Client]
LONG = 400  # pairs of messages


def chained(thread: Thread) -> Thread:
    """With the parents that real turns have."""
    turns = list(Turn.objects.filter(thread=thread).order_by("number"))
    for turn, parent in zip(turns[1:], turns, strict=False):
        turn.parent = parent
    Turn.objects.bulk_update(turns, ["parent"])
    return thread


@pytest.fixture
def page(owner: User, client_of: ClientOf) -> Client:
    return client_of(owner)


@pytest.fixture
def long(owner: User) -> Thread:
    return chained(conversation(owner, LONG))


def test_a_message_near_the_end_opens_in_the_conversation_that_goes_on(page: Client, owner: User) -> None:
    thread = chained(conversation(owner, 60))
    at = page.get(f"/c/{thread.pk}?at=40")
    assert shown(at)[-1] == 120
    assert 40 in shown(at)
    assert shown(at)[0] < 30, "something of what came before"
    assert 'form id="composer"' in html(at)
    assert 'id="live"' in html(at)


def test_a_message_far_back_opens_with_what_is_around_it_and_ways_in_both_directions(page: Client, long: Thread) -> None:
    at = page.get(f"/c/{long.pk}?at=301")
    assert shown(at) == list(range(min(shown(at)), max(shown(at)) + 1))
    assert min(shown(at)) < 290 < 301 < 312 < max(shown(at))
    assert len(shown(at)) < 40, "a page, not the conversation"
    document = parse(html(at))
    assert document.by_id("composer") is None
    assert document.by_id("older")["href"] == f"/c/{long.pk}?before={min(shown(at))}"  # type: ignore[index]
    newer = next(link for link in document.all("a") if link.text == "Newer messages")
    onward = page.get(f"/c/{long.pk}{newer['href']}")
    assert max(shown(onward)) > max(shown(at)) >= min(shown(onward))


def test_the_first_and_the_last_message_open_too(page: Client, long: Thread) -> None:
    first = page.get(f"/c/{long.pk}?at=1")
    assert shown(first)[0] == 1
    assert 'id="older" hidden' in html(first)
    last = page.get(f"/c/{long.pk}?at={2 * LONG}")
    assert shown(last)[-1] == 2 * LONG
    assert 'id="live"' in html(last)


def test_opening_at_a_message_reads_the_same_rows_however_long_the_thread_is(
    page: Client, owner: User, long: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "FRESH_SECONDS", 3600)  # a busy machine takes longer than the models are remembered
    short = chained(conversation(owner, REACH))
    page.get(f"/c/{short.pk}?at=5")
    counts = []
    for thread, seq in ((short, 60), (long, 60), (long, 500)):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page.get(f"/c/{thread.pk}?at={seq}")
        counts.append(len(queries))
    assert len(set(counts)) == 1, counts


@pytest.mark.parametrize("wrong", ["", "0", "-1", "801", "x", "1e3", "99999999999", "¼"])
def test_a_place_that_the_conversation_does_not_have_is_refused(wrong: str, page: Client, long: Thread) -> None:
    assert page.get(f"/c/{long.pk}", {"at": wrong}).status_code == 400


def test_a_stranger_gets_what_is_not_there(long: Thread, stranger: User, client: Client, client_of: ClientOf) -> None:
    other = client_of(stranger)
    foreign, missing = other.get(f"/c/{long.pk}?at=5"), other.get(f"/c/{uuid4()}?at=5")
    assert foreign.status_code == missing.status_code == 404
    assert html(foreign) == html(missing)
    assert client.get(f"/c/{long.pk}?at=5")["Location"].startswith("/accounts/login/")


@pytest.fixture
def thread(owner: User, monkeypatch: pytest.MonkeyPatch) -> Thread:
    """Three pairs, the second asked again in other words, so that seq 3 to 6 belong to a version that is not read now."""
    monkeypatch.setattr(hints, "announce", lambda *_words: None)
    monkeypatch.setattr(load, "_looked_at", 0.0)
    catalog.forget()
    made = actions.create_thread(owner)
    for number in (1, 2, 3):
        say(owner, made, f"q{number}", f"a{number}")
    second = Turn.objects.get(thread=made, number=2)
    actions.edit(owner, second.pk, content="q2 otherwise", model="demo", request_id=str(uuid4()))
    answer(Turn.objects.get(thread=made, number=4), "a2 otherwise")
    return made


def bubbles(text: str) -> list[str]:
    messages = parse(text).by_id("messages")
    assert messages is not None
    return [one.text.strip() for one in messages.all("div") if "bubble" in one.classes]


def test_a_message_of_another_version_opens_in_that_version_and_changes_nothing(page: Client, thread: Thread) -> None:
    before = list(Message.objects.order_by("pk").values("pk", "on_path"))
    at = page.get(f"/c/{thread.pk}?at=3")
    assert bubbles(html(at)) == ["q1", "q2", "q3"]
    assert "went another way" in html(at)
    assert 'id="composer"' not in html(at)
    assert list(Message.objects.order_by("pk").values("pk", "on_path")) == before
    assert bubbles(html(page.get(f"/c/{thread.pk}"))) == ["q1", "q2 otherwise"]


def test_from_there_one_can_go_on_in_it(page: Client, thread: Thread) -> None:
    form = parse(html(page.get(f"/c/{thread.pk}?at=3"))).one("form", method="post", action=switch_of(thread))
    done = page.post(form["action"].partition("#")[0], {"at": form.one("input", name="at")["value"]})
    assert done["Location"] == f"/c/{thread.pk}?at=3"
    opened = page.get(done["Location"])
    assert bubbles(html(opened)) == ["q1", "q2", "q3"]
    assert 'form id="composer"' in html(opened)


def switch_of(thread: Thread) -> str:
    message = Message.objects.get(thread=thread, seq=3)
    return f"/c/turns/{message.turn_id}/switch#m-{message.pk}"


def test_a_long_version_is_shown_a_page_at_a_time(page: Client, owner: User, long: Thread) -> None:
    aside = Turn.objects.filter(thread=long, number__gt=100)
    Message.objects.filter(turn__in=aside).update(on_path=False)
    aside.update(on_path=False)
    at = page.get(f"/c/{long.pk}?at=501")
    assert 501 in shown(at)
    assert len(shown(at)) < 70
    links = {link.text: link["href"] for link in parse(html(at)).all("a") if link.get("href")}  # the palette's pattern has none
    earlier, later = (int(re.sub(r"\D", "", links[name])) for name in ("Older messages", "Newer messages"))
    assert earlier == min(shown(at))
    assert later in shown(at)
    near = page.get(f"/c/{long.pk}?at=205")
    assert f"/c/{long.pk}?before=" in html(near), "where the version leaves the path, older messages are those of the path"


def test_a_deleted_message_leads_to_the_conversation(page: Client, owner: User, thread: Thread) -> None:
    removal.delete_turn(owner, Turn.objects.get(thread=thread, number=4).pk)
    seq = Message.objects.get(turn__thread=thread, turn__number=4, role="user").seq
    assert page.get(f"/c/{thread.pk}?at={seq}")["Location"] == f"/c/{thread.pk}"
