"""The running product for tests of conversations: one stack for the whole session, on the tests' own database."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from pytest_django import DjangoDbBlocker

from accounts.actions import close_account
from accounts.models import User
from chatai.lib.ids import uuid7
from tests.conftest import PASSWORD
from tests.page import Browser, Page
from tests.stack import Stack, until
from threads.models import Message, Turn, TurnEvent

STACK_DATABASE = "test_chatai_stack"


def database_url(name: str) -> str:
    """Of another database of the server that the tests use."""
    return urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}").geturl()


@contextlib.contextmanager
def working_in(name: str) -> Iterator[None]:
    """The ORM of this process in that database."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """web, one replies process and the scripted provider, in a database of their own. Tests leave all of them running.

    Of their own, because other tests empty every table between them: under running processes that is a deadlock now and then.
    """
    with psycopg.connect(database_url("postgres"), autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {STACK_DATABASE} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {STACK_DATABASE}")
    running = Stack("session", database_url(STACK_DATABASE), settings.REDIS_URL, LEASE_SECONDS="4", PROVIDER_IDLE_TIMEOUT="5")
    try:
        running.migrate()
        running.start("provider", "web", "replies")
        running.wait_ready()
        yield running
    finally:
        running.stop()


@dataclass
class World:
    """People with accounts of their own in the running product; gone, with all they wrote, after the test."""

    stack: Stack
    people: list[User]
    pages: list[Page]

    def person(self, name: str = "person") -> User:
        user = User.objects.create_user(f"{name}-{uuid4().hex[:8]}@example.com", PASSWORD, name=name.title())
        self.people.append(user)
        return user

    def page(self, user: User, thread_id: UUID | None = None, acknowledges: bool = True) -> Page:
        """A tab of `user`, not loaded and not connected yet; without an id, of a thread that is not there yet."""
        page = Page(Browser(self.stack.url, user), thread_id or uuid7(), acknowledges)
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
        events = TurnEvent.objects.filter(ring=turn.ring, turn_id=turn.pk).order_by("index")
        return list(events.values_list("payload", flat=True))

    def leave(self) -> None:
        for page in self.pages:
            page.close()
        for user in self.people:
            Turn.objects.filter(thread__user=user, finished_at=None).exclude(status="running").delete()
            close_account(user)


@pytest.fixture
def world(stack: Stack, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    with django_db_blocker.unblock(), working_in(STACK_DATABASE):
        here = World(stack, [], [])
        try:
            yield here
        finally:
            here.leave()
