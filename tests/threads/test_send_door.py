"""The short way of a message from a page: what it takes in, and that everything else goes the long way untouched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import psycopg
import pytest
from allauth.usersessions.models import UserSession
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.db import connection, connections
from django.utils import timezone

from accounts.models import User
from bench import people
from billing import versions
from billing.models import Budget
from chatai.handler import ThreadedHandler
from chatai.lib import hints
from chatai.middleware import accepted
from threads import load, send_door
from threads.models import CatalogModel, Message, Thread, Turn
from threads.providers import catalog
from threads.send_door import SendDoor

pytestmark = [pytest.mark.django_db(transaction=True)]

Announced = list[tuple[str, str]]
Scope = dict[str, Any]
Person = dict[str, str]


@pytest.fixture(autouse=True)
def announced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Announced]:
    heard: Announced = []
    monkeypatch.setattr(hints, "announce", lambda group, kind, *ids: heard.append((group, kind)))
    monkeypatch.setattr(hints, "bind_loop", lambda: None)
    load._looked_at = 0.0
    catalog.forget()
    info = catalog.model_info("demo")
    assert info is not None
    versions.recorded(info.slug, info.price)
    yield heard
    load._looked_at = 0.0
    catalog.forget()


@pytest.fixture
def person() -> Person:
    (made,) = people.make(1, f"door{{}}-{uuid4()}@example.com")
    return made


def form(person: Person, **changes: str) -> dict[str, str]:
    return {"text": "Hello", "model": "demo", "request_id": str(uuid4()), **changes}


class Visit:
    """One request through the door; `long_way` is the body that the application behind it was given."""

    def __init__(self, person: Person, **changes: Any) -> None:
        self.body = urlencode(form(person)).encode()
        self.headers = {
            "host": "localhost",
            "origin": "http://localhost",
            "cookie": f"sessionid={person['session']}; csrftoken={person['csrf']}",
            "x-csrftoken": person["csrf"],
            "x-requested-with": "fetch",
            "content-type": "application/x-www-form-urlencoded",
        }
        self.method, self.path, self.root_path, self.chunks = "POST", f"/c/{person['thread']}/send", "", 1
        for name, value in changes.items():
            if name in vars(self):
                setattr(self, name, value)
            else:
                self.headers[name.replace("_", "-")] = value
        self.long_way: bytes | None = None
        self.sent: list[Any] = []

    @property
    def scope(self) -> Scope:
        headers = [(name.encode(), value.encode()) for name, value in {**self.headers, "content-length": str(len(self.body))}.items()]
        about = {"type": "http", "method": self.method, "path": self.path, "root_path": self.root_path, "query_string": b""}
        return {**about, "headers": headers, "scheme": "http", "server": ("localhost", 80), "client": ("127.0.0.1", 1)}

    async def through(self, door: SendDoor) -> Visit:
        size = -(-len(self.body) // self.chunks)
        parts = [self.body[start : start + size] for start in range(0, len(self.body), size)]

        async def receive() -> dict[str, Any]:
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            self.sent.append(message)

        async def behind(scope: Scope, receive: Any, send: Any) -> None:
            self.long_way = b""
            more = True
            while more:
                message = await receive()
                self.long_way += message["body"]
                more = message["more_body"]

        otherwise, door.otherwise = door.otherwise, behind if door.otherwise is nobody else door.otherwise
        await door(self.scope, receive, send)
        door.otherwise = otherwise
        return self

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status


async def nobody(scope: Scope, receive: Any, send: Any) -> None:
    raise AssertionError("replaced by each visit")


@pytest.fixture
async def door() -> AsyncIterator[SendDoor]:
    door = SendDoor(nobody, accepted)
    yield door
    if door.links is not None:
        await door.links.close()
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def whole(settings: Any) -> AsyncIterator[SendDoor]:
    """The door with the real application behind it."""
    settings.WEB_THREADS = 1
    handler = ThreadedHandler()
    door = SendDoor(handler, accepted)
    yield door
    handler.threads.submit(connections.close_all).result()
    await sync_to_async(connections.close_all)()
    if door.links is not None:
        await door.links.close()


async def turns() -> list[Turn]:
    return await sync_to_async(lambda: list(Turn.objects.order_by("number")))()


async def test_a_message_is_taken_in_without_the_long_way(door: SendDoor, person: Person, announced: Announced) -> None:
    visit = await Visit(person, body=urlencode(form(person, text="Two\r\nlines")).encode()).through(door)
    assert (visit.status, visit.long_way) == (204, None)
    (turn,) = await turns()
    assert (str(turn.thread_id), turn.status, turn.options) == (person["thread"], "queued", {"tools_mode": "dynamic"})
    question = await Message.objects.aget(turn=turn, role="user")
    assert question.content == [{"type": "text", "text": "Two\nlines"}]
    assert announced == [("replies", "work")]


async def test_its_answer_has_the_headers_of_every_answer(door: SendDoor, person: Person) -> None:
    visit = await Visit(person).through(door)
    headers = {name.decode().lower() for name, _ in visit.sent[0]["headers"]}
    assert {"content-security-policy", "x-frame-options", "referrer-policy", "x-content-type-options"} <= headers


async def test_the_second_of_two_is_told_to_wait_and_pages_hear_of_it(door: SendDoor, person: Person, announced: Announced) -> None:
    for _ in range(2):
        assert (await Visit(person).through(door)).status == 204
    assert announced == [("replies", "work"), ("replies", "work"), ("live", "threads")]
    assert [turn.number for turn in await turns()] == [1, 2]


WRONG: dict[str, Callable[[Person], dict[str, Any]]] = {
    "no session": lambda p: {"cookie": f"csrftoken={p['csrf']}"},
    "unknown session": lambda p: {"cookie": f"sessionid={'x' * 32}; csrftoken={p['csrf']}"},
    "no token": lambda p: {"x_csrftoken": ""},
    "another token": lambda p: {"x_csrftoken": "y" * 32},
    "no cookie of the token": lambda p: {"cookie": f"sessionid={p['session']}"},
    "foreign origin": lambda p: {"origin": "http://elsewhere.example"},
    "foreign host": lambda p: {"host": "elsewhere.example", "origin": "http://elsewhere.example"},
    "a browser's own form": lambda p: {"x_requested_with": ""},
    "a new conversation": lambda p: {"body": urlencode(form(p, new="1")).encode()},
    "empty text": lambda p: {"body": urlencode(form(p, text="  ")).encode()},
    "too much text": lambda p: {"body": urlencode(form(p, text="x" * 200_001)).encode()},
    "unknown model": lambda p: {"body": urlencode(form(p, model="no-such")).encode()},
    "no request id": lambda p: {"body": urlencode(form(p, request_id="")).encode()},
    "no such conversation": lambda p: {"path": f"/c/{uuid4()}/send"},
    "no uuid": lambda p: {"path": f"/c/{'-' * 36}/send"},
    "another address": lambda p: {"path": f"/c/{p['thread']}/stop"},
    "another method": lambda p: {"method": "PUT"},
    "below a prefix": lambda p: {"root_path": "/chat"},
    "a body in pieces": lambda p: {"chunks": 3},
    "a thousand fields": lambda p: {"body": urlencode(form(p) | {f"f{number}": "" for number in range(1001)}).encode()},
    "another character set": lambda p: {"content_type": "application/x-www-form-urlencoded; charset=utf-16"},
    "a form that is cut": lambda p: {"content_type": "multipart/form-data; boundary=x", "body": b"--x\r\nContent-Disposition: f"},
    "a form without a border": lambda p: {"content_type": "multipart/form-data", "body": b"--x"},
    "no form": lambda p: {"content_type": "application/json", "body": b"{}"},
    "NUL in the session": lambda p: {"cookie": f"sessionid=a\0b; csrftoken={p['csrf']}"},
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_everything_else_goes_the_long_way_whole(
    door: SendDoor, person: Person, announced: Announced, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    visit = await Visit(person, **WRONG[wrong](person)).through(door)
    assert "took the long way" not in caplog.text  # that is for faults
    assert visit.long_way == visit.body
    assert (visit.sent, announced, await turns()) == ([], [], [])


STATES: dict[str, Callable[[Person], object]] = {
    "session ended": lambda p: Session.objects.filter(session_key=p["session"]).delete(),
    "session expired": lambda p: Session.objects.update(expire_date=timezone.now()),
    "signed out everywhere": lambda p: UserSession.objects.filter(user=owner_of(p)).delete(),
    "password changed": lambda p: User.objects.update(password="another"),
    "account closed": lambda p: User.objects.update(is_active=False),
    "conversation deleted": lambda p: Thread.objects.update(deleted_at=timezone.now()),
    "somebody else's conversation": lambda p: Thread.objects.update(user=User.objects.create_user("other@example.com", "x")),
    "no money": lambda p: Budget.objects.update(limit_micros=0),
    "no budget yet": lambda p: Budget.objects.all().delete(),
    "model withdrawn": lambda p: withdraw("demo"),
    "models read long ago": lambda p: catalog.forget(),
    "a price that is new here": lambda p: versions.forget(),
}


def withdraw(model: str) -> None:
    CatalogModel.objects.filter(slug=model).update(enabled=False)
    catalog.forget()
    catalog.offered()


def owner_of(person: Person) -> User:
    return Thread.objects.get(pk=person["thread"]).user


@pytest.mark.parametrize("state", STATES)
async def test_what_changes_between_two_messages_is_for_the_long_way_too(door: SendDoor, person: Person, state: str) -> None:
    """The first one is let in, and who sent it is known from then on."""
    assert (await Visit(person).through(door)).status == 204
    await sync_to_async(STATES[state])(person)
    visit = await Visit(person).through(door)
    assert visit.long_way == visit.body
    assert len(await turns()) == 1


async def test_who_is_known_is_forgotten_with_the_first_doubt(door: SendDoor, person: Person) -> None:
    assert (await Visit(person).through(door)).status == 204
    assert list(door.known) == [person["session"]]
    await User.objects.aupdate(custom_instructions="Be brief.")
    assert (await Visit(person).through(door)).long_way is not None
    assert not door.known
    assert (await Visit(person).through(door)).status == 204
    assert door.known[person["session"]].person.custom_instructions == "Be brief."


async def test_only_so_many_are_known(door: SendDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_door, "MOST_KNOWN", 2)
    everyone = await sync_to_async(people.make)(3, f"known{{}}-{uuid4()}@example.com")
    for one in everyone:
        assert (await Visit(one).through(door)).status == 204
    assert list(door.known) == [one["session"] for one in everyone[1:]]


@pytest.mark.parametrize("state", STATES)
async def test_what_stands_in_the_way_is_for_the_long_way_to_say(door: SendDoor, person: Person, state: str) -> None:
    await sync_to_async(STATES[state])(person)
    visit = await Visit(person).through(door)
    assert visit.long_way == visit.body
    assert await turns() == []


async def test_a_full_queue_is_for_the_long_way_to_say(door: SendDoor, person: Person, settings: Any) -> None:
    assert (await Visit(person).through(door)).status == 204
    settings.MAX_QUEUED_TURNS, load._looked_at = 1, 0.0
    visit = await Visit(person).through(door)
    assert visit.long_way == visit.body
    assert len(await turns()) == 1


async def test_a_repeated_message_goes_the_long_way_and_is_one(whole: SendDoor, person: Person) -> None:
    body = urlencode(form(person)).encode()
    visits = await asyncio.gather(*(Visit(person, body=body).through(whole) for _ in range(8)))
    assert {visit.status for visit in visits} == {204}
    assert len(await turns()) == 1


async def test_the_long_way_refuses_in_its_words(whole: SendDoor, person: Person) -> None:
    assert (await Visit(person, x_csrftoken="y" * 32).through(whole)).status == 403
    await sync_to_async(Budget.objects.update)(limit_micros=0)
    assert (await Visit(person).through(whole)).status == 402
    assert await turns() == []


async def test_a_database_that_is_away_is_for_the_long_way(door: SendDoor, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> None:
        raise psycopg.OperationalError("the server closed the connection")

    monkeypatch.setattr(send_door, "known_by", away)
    visit = await Visit(person).through(door)
    assert visit.long_way == visit.body


async def test_a_fault_of_the_door_is_logged_and_loses_nothing(
    door: SendDoor, person: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(send_door, "known_by", None)
    visit = await Visit(person).through(door)
    assert visit.long_way == visit.body
    assert "took the long way" in caplog.text


async def test_connections_that_broke_are_replaced(door: SendDoor, person: Person) -> None:
    assert (await Visit(person).through(door)).status == 204
    assert door.links is not None
    async with door.links.one() as link:
        pid = link.pgconn.backend_pid
    await sync_to_async(_end)(pid)
    statuses = []
    for _ in range(3):
        visit = await Visit(person).through(door)
        statuses.append("long" if visit.long_way else visit.status)
    assert statuses[-1] == 204
    assert len(await turns()) == 1 + statuses.count(204)


def _end(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 2000)", [pid])


def test_ids_are_what_the_address_says(person: Person) -> None:
    found = send_door.ADDRESS.fullmatch(f"/c/{person['thread']}/send")
    assert found is not None
    assert UUID(found[1]) == UUID(person["thread"])
    assert send_door.ADDRESS.fullmatch(f"/c/{person['thread']}/send/") is None
