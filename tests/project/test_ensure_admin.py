"""The administrator that the environment names."""

import pytest
from allauth.account.models import EmailAddress
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from accounts.models import User

EMAIL, PASSWORD = "Boss@example.com", "a password of the operator"


@pytest.fixture
def named(db: None, settings: Settings) -> None:
    settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD = EMAIL, PASSWORD


def may_enter_the_admin(password: str) -> bool:
    client = Client()
    client.login(email="boss@example.com", password=password)
    return client.get("/admin/").status_code == 200


def test_the_admin_is_made_once_and_may_change_the_password(named: None) -> None:
    call_command("ensure_admin")
    assert may_enter_the_admin(PASSWORD)
    boss = User.objects.get(email="boss@example.com")
    assert EmailAddress.objects.filter(user=boss, verified=True, primary=True).count() == 1
    boss.set_password("something better")
    boss.save()

    call_command("ensure_admin")

    assert may_enter_the_admin("something better")
    assert not may_enter_the_admin(PASSWORD)
    assert User.objects.count() == 1


def test_whoever_signed_up_with_the_address_before_does_not_become_the_admin(named: None) -> None:
    early = User.objects.create_user("boss@example.com", "the password of a stranger")
    session = Client()
    session.force_login(early, backend="django.contrib.auth.backends.ModelBackend")

    call_command("ensure_admin")

    assert may_enter_the_admin(PASSWORD)
    assert not may_enter_the_admin("the password of a stranger")
    assert session.get("/admin/").status_code == 302


def test_without_the_variables_nobody_is_made(db: None, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    settings.ADMIN_EMAIL = settings.ADMIN_PASSWORD = ""
    call_command("ensure_admin")
    assert "no admin is ensured" in capsys.readouterr().out
    assert not User.objects.exists()
