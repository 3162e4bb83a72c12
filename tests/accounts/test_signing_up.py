import re

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from accounts import keys
from accounts.models import User
from tests.conftest import PASSWORD

NEWCOMER = {"email": "New@Example.com", "password1": PASSWORD}


def link_in(message: object) -> str:
    found = re.search(r"http://testserver(/\S+)", str(getattr(message, "body", "")))
    assert found
    return found[1]


def test_a_newcomer_is_signed_in_at_once_and_has_a_key(db: None, client: Client) -> None:
    response = client.post("/accounts/signup/", NEWCOMER)
    assert (response.status_code, response["Location"]) == (302, "/")
    user = User.objects.get(email="new@example.com")
    assert client.session["_auth_user_id"] == str(user.pk)
    assert keys.personal_key(user) is not None
    assert "new@example.com" in client.get("/settings/profile/").content.decode()


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"email": "nobody", "password1": PASSWORD}, "valid email"),
        ({"email": "new@example.com", "password1": "short"}, "too short"),
        ({"email": "new@example.com", "password1": "password"}, "too common"),
        ({"email": "new@example.com", "password1": "new@example"}, "too similar"),
        ({"email": "", "password1": ""}, "required"),
    ],
)
def test_a_sign_up_that_cannot_work_says_why_and_makes_nobody(db: None, client: Client, form: dict[str, str], complaint: str) -> None:
    response = client.post("/accounts/signup/", form)
    assert complaint in response.content.decode()
    assert not User.objects.exists()


def test_with_mail_nobody_gets_in_before_the_address_is_confirmed(db: None, client: Client, with_mail: None) -> None:
    response = client.post("/accounts/signup/", NEWCOMER)
    assert response["Location"] == "/accounts/confirm-email/"
    assert "_auth_user_id" not in client.session
    assert "_auth_user_id" not in _signed_in_elsewhere().session
    (message, *_) = mail.outbox
    assert message.to == ["new@example.com"]
    assert message.subject.startswith("[chatai] ")
    link = link_in(message)
    assert "Is <strong>new@example.com</strong> yours?" in client.get(link).content.decode()
    assert client.post(link)["Location"] == "/"
    assert "_auth_user_id" in client.session
    assert "_auth_user_id" in _signed_in_elsewhere().session


def _signed_in_elsewhere() -> Client:
    elsewhere = Client()
    elsewhere.post("/accounts/login/", {"login": NEWCOMER["email"], "password": PASSWORD})
    return elsewhere


def test_a_spoiled_confirmation_link_offers_a_new_one(db: None, client: Client) -> None:
    response = client.get("/accounts/confirm-email/spoiled/")
    assert response.status_code == 200
    assert "no longer works" in response.content.decode()


def test_with_mail_signing_up_with_a_known_address_looks_the_same(owner: User, with_mail: None) -> None:
    answers = []
    for address in (owner.email, "unknown@example.com"):
        client = Client()
        response = client.post("/accounts/signup/", {"email": address, "password1": PASSWORD})
        answers.append((response.status_code, response["Location"], client.get(response["Location"]).content.count(b"<")))
    assert answers[0] == answers[1]
    assert "already" in mail.outbox[0].body
    assert User.objects.filter(email=owner.email).count() == 1


def test_a_mail_server_that_is_down_does_not_undo_the_sign_up(db: None, client: Client, with_mail: None, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    page = client.post("/accounts/signup/", NEWCOMER, follow=True)
    assert "could not be sent" in page.content.decode()
    assert User.objects.filter(email="new@example.com").exists()


def test_closed_sign_up_shows_why_and_makes_nobody(db: None, client: Client, settings: Settings) -> None:
    settings.ENABLE_SIGNUP = False
    for response in (client.get("/accounts/signup/"), client.post("/accounts/signup/", NEWCOMER)):
        assert "Sign-up is closed" in response.content.decode()
    assert "Create an account" not in client.get("/accounts/login/").content.decode()
    assert not User.objects.exists()
