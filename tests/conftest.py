"""The people of every test: an owner, a member and a stranger, all ordinary accounts."""

import os
from collections.abc import Callable

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from pytest_django import DjangoDbBlocker

from accounts.models import User
from tests import emptying
from tests.services import SEED, SEEDED, WORKER

PASSWORD = "correct horse battery"

# The running product, for whoever asks for `world`, and a Stripe for whoever asks for `stripe`.
pytest_plugins = ["tests.running", "tests.billing.stripe_fixtures"]


def pytest_sessionstart() -> None:
    # A real hash costs half a second of CPU, and nearly every test makes people.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    emptying.instead_of_django()
    if SEEDED in os.environ:
        connection.settings_dict["TEST"]["TEMPLATE"] = SEED
    if not WORKER:
        # Pages name static files by the manifest that this writes.
        call_command("collectstatic", interactive=False, verbosity=0)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Tests that commit empty every table behind them; the ledger of the product refuses that (see tests/billing/test_append_only.py)."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_ledgerentry DISABLE TRIGGER billing_ledger_never_emptied")


def _person(name: str) -> User:
    return User.objects.create_user(f"{name}@example.com", PASSWORD, name=name.title())


@pytest.fixture
def owner(db: None) -> User:
    """Whose things the test is about."""
    return _person("owner")


@pytest.fixture
def member(db: None) -> User:
    """Someone the owner may have shared something with."""
    return _person("member")


@pytest.fixture
def stranger(db: None) -> User:
    """Someone who must see nothing of the others."""
    return _person("stranger")


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """`client_of(user)`: a browser in which that person is signed in."""

    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return sign_in
