import re
from collections.abc import Callable

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.accounts.conftest import NEW_PASSWORD
from tests.conftest import PASSWORD

WRONG = "The email address and/or password you specified are not correct."


def attempt(client: Client, email: str, password: str, **extra: str) -> str:
    return client.post("/accounts/login/", {"login": email, "password": password}, **extra).content.decode()  # type: ignore[arg-type]


def test_signing_in_and_out(owner: User, client: Client) -> None:
    attempt(client, owner.email.upper(), PASSWORD)
    assert client.session["_auth_user_id"] == str(owner.pk)
    client.post("/accounts/logout/")
    assert "_auth_user_id" not in client.session


def test_a_link_cannot_sign_somebody_out(owner: User, client_of: Callable[[User], Client]) -> None:
    client = client_of(owner)
    client.get("/accounts/logout/")
    assert "_auth_user_id" in client.session


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(owner: User, client: Client) -> None:
    assert WRONG in attempt(client, owner.email, "wrong")
    assert WRONG in attempt(client, "unknown@example.com", "wrong")


def test_where_one_goes_after_signing_in_is_never_another_site(owner: User, client: Client) -> None:
    form = {"login": owner.email, "password": PASSWORD, "next": "https://evil.example/"}
    assert client.post("/accounts/login/", form)["Location"] == "/"


def test_guessing_is_stopped_even_with_the_right_password_and_only_for_that_address(owner: User, member: User, client: Client) -> None:
    for _ in range(5):
        attempt(client, owner.email, "wrong")
    assert "Too many failed login attempts" in attempt(client, owner.email, PASSWORD)
    attempt(client, member.email, PASSWORD)
    assert client.session["_auth_user_id"] == str(member.pk)


def test_one_address_gets_a_page_that_says_too_many(db: None, client: Client) -> None:
    answers = [client.post("/accounts/signup/", {"email": f"n{n}@example.com", "password1": "x"}) for n in range(21)]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    assert "Too many attempts" in answers[-1].content.decode()


def test_behind_a_proxy_people_are_told_apart_by_what_it_says_and_nothing_else(db: None, client: Client, settings: Settings) -> None:
    def sign_ups(forwarded: Callable[[int], str]) -> int:
        form = {"email": "nobody", "password1": "x"}
        return [client.post("/accounts/signup/", form, HTTP_X_FORWARDED_FOR=forwarded(n)).status_code for n in range(22)].count(429)

    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert sign_ups(lambda n: f"10.0.0.{n}") == 0
    assert sign_ups(lambda n: f"10.1.0.{n}, 10.0.0.99") == 2  # what the client wrote itself is not believed
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 0
    assert sign_ups(lambda n: f"10.2.0.{n}") == 2


@pytest.fixture
def without_redis(settings: Settings) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1"}}


def test_without_redis_people_sign_in_and_guessing_is_still_stopped(owner: User, member: User, client: Client, without_redis: None) -> None:
    for _ in range(5):
        assert WRONG in attempt(client, member.email, "wrong")
    assert "Too many failed login attempts" in attempt(client, member.email, PASSWORD)
    attempt(client, owner.email, PASSWORD)
    assert client.session["_auth_user_id"] == str(owner.pk)


def test_a_forgotten_password_is_replaced_through_the_mail_and_the_link_works_once(owner: User, client: Client) -> None:
    client.post("/accounts/password/reset/", {"email": owner.email})
    link = re.search(r"http://testserver(/\S+)", str(mail.outbox[0].body))
    assert link
    page = client.get(link[1], follow=True)
    client.post(page.request["PATH_INFO"], {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})
    assert client.session["_auth_user_id"] == str(owner.pk)
    owner.refresh_from_db()
    assert owner.check_password(NEW_PASSWORD)
    assert "no longer works" in Client().get(link[1], follow=True).content.decode()


def test_asking_for_a_reset_does_not_tell_who_has_an_account(owner: User, client: Client) -> None:
    answers = [client.post("/accounts/password/reset/", {"email": email}, follow=True) for email in (owner.email, "unknown@example.com")]
    assert len({(answer.status_code, answer.content.count(b"<")) for answer in answers}) == 1


def test_an_inactive_person_is_told_so_and_stays_out(owner: User, client: Client) -> None:
    User.objects.filter(pk=owner.pk).update(is_active=False)
    attempt(client, owner.email, PASSWORD)
    assert "_auth_user_id" not in client.session


def test_admins_sign_in_where_everybody_does(owner: User, client: Client, client_of: Callable[[User], Client]) -> None:
    assert client.get("/admin/login/?next=/admin/")["Location"].startswith("/accounts/login/")
    assert client.post("/admin/login/", {"username": owner.email, "password": PASSWORD})["Location"].startswith("/accounts/login/")
    assert client_of(owner).get("/admin/login/").status_code == 403


def test_a_superuser_signs_in_when_the_mail_server_is_down(db: None, client: Client, with_mail: None) -> None:
    root = User.objects.create_superuser("root@example.com", PASSWORD)
    attempt(client, root.email, PASSWORD)
    assert client.session["_auth_user_id"] == str(root.pk)
