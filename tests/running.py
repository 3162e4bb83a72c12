"""The running product for tests of conversations: one stack for the whole session, in a database of its own."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import dj_database_url
import psycopg
import pytest
from asgiref.sync import SyncToAsync
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection, connections
from django.db.models import QuerySet
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from accounts.actions import close_account
from accounts.models import User
from chatai.lib.ids import uuid7
from tests.conftest import PASSWORD
from tests.emptying import forget
from tests.page import Browser, Page
from tests.services import SEED, migrate
from tests.stack import Stack, until
from threads.blocks import IterationStart, Partial, load_event
from threads.models import Message, Runner, Thread, Turn, TurnEvent

STACK_DATABASE = "test_chatai_stack"


def words(count: int, start: int = 0) -> str:
    """What the scripted provider says."""
    return " ".join(f"w{number}" for number in range(start, count))


def database_url(name: str) -> str:
    """Of another database of the server that the tests use."""
    return urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}").geturl()


def fresh_database(name: str) -> str:
    """Its address: all tables, and nothing else in them."""
    with psycopg.connect(database_url("postgres"), autocommit=True) as server:
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (SEED,)).fetchone():
            server.execute(f"CREATE DATABASE {SEED}")
            migrate(database_url(SEED))
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name} TEMPLATE {SEED}")
    return database_url(name)


@contextlib.contextmanager
def working_in(url: str) -> Iterator[None]:
    """The ORM of this process in that database."""
    before = dict(connection.settings_dict)
    _close()
    there = dj_database_url.parse(url)
    connection.settings_dict.update({name: there.get(name, "") for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")})
    connection.settings_dict["OPTIONS"] = {**there.get("OPTIONS", {})}
    try:
        yield
    finally:
        _close()
        connection.settings_dict.update(before)


def _close() -> None:
    """Also the connection of the thread in which synchronous parts of coroutines run: it would go on in the other database."""
    connection.close()
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()
    forget()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """web, one replies process and the scripted provider, in a database of their own. Tests leave all of them running.

    Of their own, because other tests empty every table between them: under running processes that is a deadlock now and then.
    """
    impatient = {"LEASE_SECONDS": "3", "PROVIDER_IDLE_TIMEOUT": "6", "PROVIDER_FIRST_TOKEN_TIMEOUT": "3"}
    running = Stack("session", fresh_database(STACK_DATABASE), settings.REDIS_URL, **impatient)
    try:
        running.start("provider", "web", "replies")
        running.wait_ready()
        yield running
    finally:
        running.stop()


def put_to_sleep(stack: Stack, name: str = "replies") -> None:
    """The process stops where it is, and is given no turns any more: as if it had been missed for some seconds."""
    stack.tell(name, signal.SIGSTOP)
    Runner.objects.filter(name__contains=f":{stack.processes[name].pid}:").update(takes=False)


@dataclass
class World:
    """People with accounts of their own in the running product; gone, with all they wrote, after the test."""

    stack: Stack
    people: list[User]
    pages: list[Page]

    def person(self, name: str = "person") -> User:
        user = User(email=f"{name}-{uuid4().hex[:8]}@example.com", name=name.title())
        # As the product hashes it, which is not how the tests do, but with one round: the product raises that itself.
        user.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
        user.save()
        self.people.append(user)
        return user

    def page(self, user: User | None = None, thread_id: UUID | None = None, **rest: Any) -> Page:
        """A tab of `user` (somebody new), not loaded and not connected yet; without an id, of a thread that is not there yet."""
        page = Page(Browser(self.stack.url, user or self.person()), thread_id or uuid7(), **rest)
        self.pages.append(page)
        return page

    def turns(self, thread_id: UUID) -> list[Turn]:
        return list(Turn.objects.filter(thread_id=thread_id).order_by("number"))

    def settled(self, *thread_ids: UUID, seconds: float = 20.0) -> list[Turn]:
        """Wait until every turn of the threads is over; those turns."""
        unfinished = Turn.objects.filter(thread_id__in=thread_ids, finished_at=None)
        until(lambda: not unfinished.exists(), seconds, "all turns are over")
        return list(Turn.objects.filter(thread_id__in=thread_ids).order_by("thread_id", "number"))

    def history(self, thread_id: UUID) -> list[Message]:
        return list(Message.objects.filter(thread_id=thread_id, seq__isnull=False).order_by("seq"))

    def journal(self, turn: Turn) -> list[str]:
        return list(self.events(turn).values_list("payload", flat=True))

    def events(self, turn: Turn) -> QuerySet[TurnEvent]:
        assert turn.ring is not None
        return TurnEvent.objects.filter(ring=turn.ring, turn_id=turn.pk).order_by("index")

    def check(self) -> None:
        """What holds for every conversation whatever happened to it."""
        for thread in Thread.objects.filter(user__in=self.people):
            messages = self.history(thread.pk)
            assert [message.seq for message in messages] == list(range(1, thread.last_seq + 1)), "gapless from 1"
            assert [message.role for message in messages] == ["user", "assistant"] * (thread.last_seq // 2)
        for turn in Turn.objects.filter(thread__user__in=self.people, ring__isnull=False, finished_at__isnull=False):
            self.check_journal(turn)

    def check_journal(self, turn: Turn) -> None:
        """The stored answers are what the journal says, and epochs in the journal only grow."""
        partials = [Partial()]
        for event in map(load_event, self.journal(turn)):
            if isinstance(event, IterationStart):
                partials.append(Partial())
            partials[-1].add(event)
        answers = Message.objects.filter(turn=turn, role="assistant").order_by("seq")
        told = [partial.content() for partial in partials]
        assert [answer.content for answer in answers] == told, f"messages and journal of a {turn.status} turn"
        indexes, epochs = zip(*self.events(turn).values_list("index", "epoch"), strict=True)
        assert list(indexes) == list(range(len(indexes)))
        assert list(epochs) == sorted(epochs), "an old epoch wrote after a new one"

    def leave(self) -> None:
        for page in self.pages:
            page.close()
        for user in self.people:
            Turn.objects.filter(thread__user=user, status="queued").update(status="stopped", finished_at=timezone.now())
            Turn.objects.filter(thread__user=user, status="running").update(stop_requested_at=timezone.now())
            until(lambda: not Turn.objects.filter(thread__user=user, finished_at=None).exists(), 20, "turns end before their owner goes")  # noqa: B023  used at once
            close_account(user)


@pytest.fixture
def world(stack: Stack, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    stack.must_live()
    with django_db_blocker.unblock(), working_in(database_url(STACK_DATABASE)):
        here = World(stack, [], [])
        try:
            yield here
            stack.must_live()
            here.check()
        finally:
            here.leave()
