"""Limits start from zero in every test, and a fresh person is three lines away."""

import uuid
from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import Settings

from chatai.lib import cache as outage
from tests.conftest import PASSWORD

NEW_PASSWORD = "another horse battery"


def confirm(client: Client, password: str = PASSWORD) -> None:
    """Type the password again, which pages about the protection of the account ask for."""
    client.post("/accounts/reauthenticate/", {"password": password})


@pytest.fixture(autouse=True)
def fresh_limits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "KEY_PREFIX": uuid.uuid4().hex}}
    monkeypatch.setattr(outage, "_down_until", 0.0)


@pytest.fixture
def with_mail(settings: Settings) -> None:
    """As when EMAIL_URL is set."""
    settings.EMAIL_URL = "smtp://mail.example.com"
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
    settings.MFA_ALLOW_UNVERIFIED_EMAIL = False


@pytest.fixture
def hints_sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Every hint of this test, in order."""
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr("chatai.lib.hints.announce", lambda group, kind, *ids: sent.append((group, kind, *map(str, ids))))
    return sent


@pytest.fixture
def sign_in() -> Callable[..., Client]:
    """`sign_in(email, password)`: a browser that signed in through the page."""

    def through_the_page(email: str, password: str) -> Client:
        client = Client(HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
        client.post("/accounts/login/", {"login": email, "password": password})
        return client

    return through_the_page
