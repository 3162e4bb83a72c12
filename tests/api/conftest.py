"""The running product for tests of the API: one stack for this folder, on a database of its own."""

from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from pytest_django import DjangoDbBlocker

from accounts import keys
from accounts.actions import close_account
from accounts.models import User
from tests.api.client import Caller
from tests.billing.spending import lift_limits
from tests.running import database_url, fresh_database, working_in
from tests.stack import Stack, until
from threads.models import Turn

DATABASE = "test_chatai_api"


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """web, one replies process and the scripted provider. Tests leave all of them running."""
    running = Stack(
        "api",
        fresh_database(DATABASE),
        settings.REDIS_URL,
        LEASE_SECONDS="3",
        PROVIDER_IDLE_TIMEOUT="5",
        PROVIDER_FIRST_TOKEN_TIMEOUT="4",
        EGRESS_ALLOW="127.0.0.1",  # servers of the tests, such as an app's webhooks
    )
    try:
        running.start("provider", "web", "replies")
        running.wait_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture
def database(stack: Stack, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The ORM of this process in the stack's database."""
    stack.must_live()
    with django_db_blocker.unblock(), working_in(database_url(DATABASE)):
        yield
    stack.must_live()


@pytest.fixture
def account(database: None) -> Iterator[Callable[[str], User]]:
    """`account(name)`: somebody new; gone after the test, with all that is theirs."""
    people: list[User] = []

    def make(name: str = "operator") -> User:
        user = User.objects.create_user(f"{name}-{len(people)}@api.example.com", "correct horse battery")
        lift_limits(user)
        people.append(user)
        return user

    yield make
    for user in people:
        unfinished = Turn.objects.filter(thread__user=user, finished_at=None)
        unfinished.exclude(status="running").delete()
        until(lambda unfinished=unfinished: not unfinished.exists(), 20, "its turns are over")  # type: ignore[misc]
        close_account(user)


@pytest.fixture
def caller(stack: Stack, account: Callable[[str], User]) -> Callable[..., Caller]:
    """`caller(user, scope)`: a holder of a new key."""

    def make(user: User | None = None, scope: str = "standard") -> Caller:
        _, secret = keys.mint(user or account("operator"), "test", scope)
        return Caller(stack.url, secret)

    return make


@pytest.fixture
def admin(caller: Callable[..., Caller]) -> Caller:
    """An app's own key, of scope admin."""
    return caller(scope="admin")


@pytest.fixture
def app(caller: Callable[..., Caller]) -> Caller:
    """A key for one end user, of scope standard."""
    return caller()
