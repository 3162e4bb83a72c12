"""The running product for tests of money: its own processes and database, because these tests kill and price as they like."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from pytest_django import DjangoDbBlocker

from tests.running import database_url, fresh_database, working_in
from tests.stack import Stack

DATABASE = "test_chatai_money"


@pytest.fixture(scope="session")
def bank() -> Iterator[Stack]:
    """web, two replies processes and the scripted provider."""
    impatient = {"LEASE_SECONDS": "3", "PROVIDER_IDLE_TIMEOUT": "3", "PROVIDER_FIRST_TOKEN_TIMEOUT": "3"}
    running = Stack("money", fresh_database(DATABASE), settings.REDIS_URL, **impatient)
    try:
        running.start("provider", "web", "replies", "replies-2")
        running.wait_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture
def books(bank: Stack, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The ORM of this process in the stack's database."""
    bank.must_live()
    with django_db_blocker.unblock(), working_in(database_url(DATABASE)):
        yield
