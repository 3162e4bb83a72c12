"""The search page and the pieces of the palette, as their owner, as a stranger and signed out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from search import vectors
from search.views import PAGE
from tests.dom import Element, parse
from tests.search.talk import conversation, indexed, say
from threads.models import Message, Thread

ClientOf = Callable[[User], Client]
SCRIPT = {"X-Requested-With": "fetch"}
PATHS = ["/search", "/search/palette", "/search/palette/meaning"]


@pytest.fixture(autouse=True)
def by_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody embeds."""
    monkeypatch.setattr(vectors, "of_query", lambda *_: None)


@pytest.fixture
def thread(owner: User) -> Thread:
    made = conversation(owner, ("Which <b>comet</b> comes back in 2061?", "Halley: a comet that returns every 76 years."), title="The sky")
    conversation(owner, ("How do I bake bread?", "With flour and time."), title="A comet cake & more")
    indexed()
    return made


@pytest.fixture
def page(owner: User, client_of: ClientOf) -> Client:
    return client_of(owner)


def look(client: Client, path: str = "/search", /, **asked: Any) -> Element:
    response = client.get(path, asked)
    assert response.status_code == 200, response
    return parse(response.content.decode())


def hits(document: Element) -> list[Element]:
    return [one for found in document.all("ol") for one in found.all("a")] or document.all("a", role="option")


def test_an_empty_page_asks_what_to_look_for(page: Client) -> None:
    document = look(page)
    assert document.one("form", role="search")["action"] == "/search"
    assert hits(document) == []
    assert "autofocus" in document.one("input", name="q").attributes


def test_a_hit_leads_to_its_message_with_what_matched_marked(page: Client, thread: Thread) -> None:
    found = hits(look(page, q="comet"))
    assert len(found) == 2
    assert {hit["href"] for hit in found} == {f"/c/{thread.pk}?at={m.seq}#m-{m.pk}" for m in Message.objects.filter(thread=thread)}
    assert all(mark.text.lower() == "comet" for hit in found for mark in hit.all("mark"))
    assert all(hit.all("mark") for hit in found)
    assert any("Which <b>comet</b> comes" in hit.text for hit in found), "what a message says is text, whatever it is"
    assert page.get(found[0]["href"].partition("#")[0]).status_code == 200


def test_chats_are_found_by_title_and_meaning_that_is_off_is_said(page: Client, thread: Thread) -> None:
    document = look(page, q="comet")
    titles = [one.text.strip() for found in document.all("ul") for one in found.all("a")]
    assert titles == ["A comet cake & more"]
    assert "meaning is off for now" in document.text
    assert "meaning is off" not in look(page, q="comet", mode="text").text


def test_filters_narrow_and_stay_in_the_form_and_in_the_links(page: Client, owner: User, thread: Thread) -> None:
    for number in range(PAGE + 5):
        say(thread, f"Comet number {number}", "Yes.", at=timezone.now() - timedelta(days=900))
    indexed()
    day = (timezone.now() - timedelta(days=900)).date().isoformat()
    document = look(page, q="comet", since=day, until=day, role="user")
    assert len(hits(document)) == PAGE
    assert document.one("input", name="since")["value"] == day
    (onward,) = document.all("a", rel="next")
    assert all(part in onward["href"] for part in ("q=comet", f"since={day}", "role=user", "page=2"))
    second = look(page, f"/search{onward['href']}")
    assert len(hits(second)) == 5
    assert not {hit["href"] for hit in hits(second)} & {hit["href"] for hit in hits(document)}
    (back,) = second.all("a", rel="prev")
    assert "page=1" in back["href"]
    assert hits(look(page, q="comet", until=(timezone.now() - timedelta(days=901)).date().isoformat())) == []


def test_days_are_those_of_the_reader(page: Client, thread: Thread) -> None:
    say(thread, "A comet at night", "Yes.", at=datetime(2025, 3, 10, 23, 30, tzinfo=UTC))
    indexed()
    assert len(hits(look(page, q="night", since="2025-03-10", until="2025-03-10"))) == 1
    page.cookies["tz"] = "Asia/Tokyo"
    assert hits(look(page, q="night", since="2025-03-10", until="2025-03-10")) == []
    (hit,) = hits(look(page, q="night", since="2025-03-11", until="2025-03-11"))
    assert "11 Mar 2025, 08:30" in hit.text


def test_nothing_found_says_so(page: Client, thread: Thread) -> None:
    assert "Nothing found" in look(page, q="zeppelin").text
    narrowed = look(page, q="zeppelin", role="user")
    assert narrowed.all("a", href="/search?q=zeppelin")


@pytest.mark.parametrize(
    "asked",
    [
        *(
            {"role": "system"},
            {"since": "yesterday"},
            {"page": "0"},
            {"page": "51"},
            {"page": "x"},
            {"model": "nobody"},
            {"mode": "psychic"},
        ),
        {"q": "x" * 2001},
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(asked: dict[str, str], page: Client, thread: Thread) -> None:
    response = page.get("/search", {"q": "comet", **asked})
    assert response.status_code == 400
    document = parse(response.content.decode())
    assert document.one("p", role="alert").text.strip()
    assert document.one("input", name="q")


@pytest.mark.parametrize("q", ["\0", "comet\0", "\U0001f600", "((", '"', "%", "' OR 1=1 --", "<script>alert(1)</script>", "\u202e"])
def test_no_query_makes_a_fault(q: str, page: Client, thread: Thread) -> None:
    for path in PATHS:
        response = page.get(path, {"q": q}, headers=SCRIPT)
        assert response.status_code in (200, 400), path
        assert "<script>alert" not in response.content.decode()


def test_the_palette_has_chats_and_words_and_says_that_meaning_is_off(page: Client, thread: Thread) -> None:
    words = look(page, "/search/palette", q="comet")
    parts = {one["data-part"]: one for one in words.all("div", role="group")}
    assert [one.text.strip() for one in parts["chats"].all("a")] == ["A comet cake & more"]
    assert len(parts["words"].all("a")) == 2
    assert all(one["role"] == "option" for one in words.all("a"))
    meaning = look(page, "/search/palette/meaning", q="comet")
    assert "off for now" in meaning.one("div", data_part="meaning").text
    assert meaning.all("a") == []


def test_the_palette_shows_what_matched_in_its_two_lines(page: Client, owner: User) -> None:
    conversation(owner, ("One two three four five six seven eight nine ten eleven twelve and then the comet came to us.", "I see."))
    indexed()
    (hit,) = look(page, "/search/palette", q="comet").all("a", role="option")
    assert [mark.text for mark in hit.all("mark")] == ["comet"]
    snippet = next(one.text for one in hit.all("span") if "snippet" in one.classes)
    assert snippet == "…eleven twelve and then the comet came to us."


def test_strangers_find_nothing_and_visitors_are_sent_to_sign_in(
    thread: Thread, stranger: User, client: Client, client_of: ClientOf
) -> None:
    other = client_of(stranger)
    for path in PATHS:
        body = other.get(path, {"q": "comet"}).content.decode()
        assert str(thread.pk) not in body
        assert "Halley" not in body
        assert client.get(path, {"q": "comet"})["Location"].startswith("/accounts/login/")
    for path in PATHS[1:]:
        assert client.get(path, {"q": "comet"}, headers=SCRIPT).status_code == 401
        assert other.post(path, {"q": "comet"}).status_code == 405


def test_results_are_kept_by_nobody_on_the_way(page: Client, thread: Thread) -> None:
    for path in PATHS:
        assert "no-store" in page.get(path, {"q": "comet"})["Cache-Control"]
