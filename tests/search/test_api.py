"""`/v1/search` and `/v1/threads/:id/search`, as the contract has them: shapes, filters, who finds what, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from accounts.keys import mint
from accounts.models import User
from search import vectors
from search.models import Generation
from tests.search.talk import conversation, indexed, say
from threads import removal
from threads.models import Message, Thread

Ask = Callable[..., Any]
HIT = {"thread_id", "turn_id", "seq", "role", "score", "match", "snippet", "model", "title", "created_at"}


@pytest.fixture(autouse=True)
def by_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody embeds."""
    monkeypatch.setattr(vectors, "of_query", lambda *_: None)


@pytest.fixture
def thread(owner: User) -> Thread:
    made = conversation(owner, ("Which comet comes back in 2061?", "Halley: a comet that returns every 76 years."), title="Sky")
    conversation(owner, ("How do I bake bread?", "With flour, water, salt and time."), title="Kitchen")
    indexed()
    return made


def asking(user: User, scope: str = "admin") -> Ask:
    """`ask(path, q=…)`: the JSON of the answer, its status first, as a holder of a new key of `user`."""
    _, secret = mint(user, "test", scope)
    client = Client(headers={"x-api-key": secret})

    def ask(path: str = "/v1/search", /, **asked: Any) -> tuple[int, Any]:
        response = client.get(path, asked)
        assert response.headers["x-request-id"]
        return response.status_code, response.json()

    return ask


def data(answer: tuple[int, Any]) -> list[dict[str, Any]]:
    status, body = answer
    assert status == 200, body
    assert body["object"] == "list"
    return list(body["data"])


def test_hits_have_the_shape_of_the_contract_and_more(owner: User, thread: Thread) -> None:
    status, body = asking(owner)(q="comet")
    assert (status, body["object"], body["query"], body["meaning"]) == (200, "list", "comet", False)
    assert [hit["thread_id"] for hit in body["data"]] == [str(thread.pk)] * 2
    first = body["data"][0]
    message = Message.objects.get(thread=thread, seq=first["seq"])
    assert set(first) == HIT
    assert first["created_at"] == int(message.created_at.timestamp() * 1000)
    assert (first["role"], first["turn_id"], first["match"], first["title"]) == (message.role, str(message.turn_id), "text", "Sky")
    assert -1 <= first["score"] <= 1
    assert "comet" in first["snippet"]
    assert "<" not in first["snippet"]


def test_a_snippet_is_about_240_characters_around_what_matched(owner: User) -> None:
    text = "Nothing to see here, move along now. " * 40 + "Then the comet came. " + "And it was quiet again for years. " * 40
    conversation(owner, (text, "I see."))
    indexed()
    (hit,) = data(asking(owner)(q="comet"))
    assert 180 <= len(hit["snippet"]) <= 250
    assert "the comet came" in hit["snippet"]


def test_filters_narrow(owner: User, thread: Thread) -> None:
    ask = asking(owner)
    assert {hit["role"] for hit in data(ask(q="comet", role="user"))} == {"user"}
    assert {hit["role"] for hit in data(ask(q="comet", role="assistant"))} == {"assistant"}
    at = datetime(2024, 5, 17, 12, tzinfo=UTC)
    say(thread, "An old comet", "Yes", at=at, model="claude-haiku-4-5")
    other = conversation(owner, ("A comet for Ann", "Yes."), end_user_id="ann")
    indexed()
    noon = int(at.timestamp() * 1000)
    (old,) = data(ask(q="comet", from_ms=noon, to_ms=noon + 1))
    assert old["snippet"] == "An old comet"
    assert data(ask(q="comet", to_ms=noon)) == []
    assert [hit["snippet"] for hit in data(ask(q="comet", model="claude-haiku-4-5"))] == ["An old comet"]
    assert [hit["thread_id"] for hit in data(ask(q="comet", end_user_id="ann"))] == [str(other.pk)]
    assert data(ask(q="comet", end_user_id="nobody")) == []
    assert len(data(ask(q="comet", limit=1))) == 1


def test_one_thread_is_searched_by_itself(owner: User, thread: Thread) -> None:
    conversation(owner, ("Another comet", "Yes."))
    indexed()
    hits = data(asking(owner)(f"/v1/threads/{thread.pk}/search", q="comet"))
    assert {hit["thread_id"] for hit in hits} == {str(thread.pk)}
    assert len(hits) == 2


def test_a_standard_key_finds_what_it_made_and_strangers_nothing(owner: User, stranger: User, thread: Thread) -> None:
    key, secret = mint(owner, "app")
    made = conversation(owner, ("A comet of the app", "Yes."), key=key)
    indexed()
    app = Client(headers={"x-api-key": secret})
    assert {hit["thread_id"] for hit in app.get("/v1/search", {"q": "comet"}).json()["data"]} == {str(made.pk)}
    assert app.get(f"/v1/threads/{thread.pk}/search", {"q": "comet"}).status_code == 404
    for who in (asking(stranger), asking(stranger, "standard"), asking(owner, "standard")):
        assert data(who(q="comet")) == []
        for wanted in (thread.pk, made.pk, uuid4()):
            status, body = who(f"/v1/threads/{wanted}/search", q="comet")
            assert (status, body["error"]["type"]) == (404, "not_found_error")
    for path in ("/v1/search", f"/v1/threads/{thread.pk}/search"):
        assert Client().get(path, {"q": "comet"}).status_code == 401


def test_what_is_deleted_is_not_found_at_once(owner: User, thread: Thread) -> None:
    ask = asking(owner)
    more = say(thread, "One more comet", "Yes.")
    indexed()
    assert len(data(ask(q="comet"))) == 3
    removal.delete_turn(owner, more.pk)
    assert len(data(ask(q="comet"))) == 2
    Thread.objects.filter(pk=thread.pk).update(deleted_at=datetime.now(UTC))
    assert data(ask(q="comet")) == []
    assert ask(f"/v1/threads/{thread.pk}/search", q="comet")[0] == 404


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, "q"),
        ({"q": ""}, "q"),
        ({"q": " \n\t"}, "q"),
        ({"q": "\0"}, "q"),
        ({"q": "x" * 2001}, "q"),
        ({"q": "word " * 20_000}, "q"),  # 100 KB
        ({"q": "comet", "limit": 0}, "limit"),
        ({"q": "comet", "limit": 51}, "limit"),
        ({"q": "comet", "limit": -1}, "limit"),
        ({"q": "comet", "limit": "many"}, "limit"),
        ({"q": "comet", "mode": "psychic"}, "mode"),
        ({"q": "comet", "role": "system"}, "role"),
        ({"q": "comet", "from_ms": -1}, "from_ms"),
        ({"q": "comet", "from_ms": 10**18}, "from_ms"),
        ({"q": "comet", "from_ms": 20, "to_ms": 10}, "to_ms"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(asked: dict[str, Any], named: str, owner: User, thread: Thread) -> None:
    for path in ("/v1/search", f"/v1/threads/{thread.pk}/search"):
        status, body = asking(owner)(path, **asked)
        assert (status, body["error"]["type"]) == (400, "invalid_request_error")
        assert body["error"]["message"].startswith(named), body


@pytest.mark.parametrize(
    "q",
    [
        *(
            "comet & | ! :* <->",
            "(comet",
            "comet)",
            "comet:*",
            "'comet'",
            '"comet',
            '""',
            "comet\\",
            "!!comet",
            "comet OR",
            "OR",
            "AND NOT",
        ),
        *(
            "comet\0",
            "\U0001f600 comet",
            "% comet _",
            "comet; DROP TABLE search_passage",
            "<script>comet</script>",
            "-comet bread",
            "-bread comet",
        ),
        *("ﷺ", "\u202ecomet", "comet " * 300, "a" * 2000, "😀" * 500),
    ],
)
def test_no_query_makes_a_fault(q: str, owner: User, thread: Thread) -> None:
    for mode in ("hybrid", "semantic", "text"):
        data(asking(owner)(q=q, mode=mode))


def test_operators_are_taken_to_the_letter(owner: User, thread: Thread) -> None:
    ask = asking(owner)
    assert data(ask(q='"comes back"'))
    assert data(ask(q='"back comes"')) == []
    assert [hit["role"] for hit in data(ask(q="comet -halley"))] == ["user"]


def test_before_anything_was_indexed_there_is_nothing_to_find(owner: User) -> None:
    assert not Generation.objects.exists()
    assert data(asking(owner)(q="comet")) == []
