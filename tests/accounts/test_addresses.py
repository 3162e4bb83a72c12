import re
from collections.abc import Callable

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client

from accounts.models import User
from tests.accounts.conftest import confirm
from tests.conftest import PASSWORD

PAGE = "/accounts/email/"


@pytest.fixture
def mine(owner: User, sign_in: Callable[..., Client]) -> Client:
    client = sign_in(owner.email, PASSWORD)
    confirm(client)
    return client


def follow_link_of(message: object, client: Client) -> None:
    found = re.search(r"http://testserver(/accounts/confirm-email/\S+)", str(getattr(message, "body", "")))
    assert found
    client.post(found[1])


def test_a_new_address_is_confirmed_made_primary_and_the_old_one_removed(owner: User, mine: Client) -> None:
    mine.post(PAGE, {"action_add": "", "email": "Second@example.com"})
    follow_link_of(mail.outbox[-1], mine)
    mine.post(PAGE, {"action_primary": "", "email": "second@example.com"})
    mine.post(PAGE, {"action_remove": "", "email": "owner@example.com"})
    owner.refresh_from_db()
    assert owner.email == "second@example.com"
    assert list(EmailAddress.objects.filter(user=owner).values_list("email", "verified", "primary")) == [("second@example.com", True, True)]


def test_changing_addresses_asks_who_is_there_first(owner: User, sign_in: Callable[..., Client]) -> None:
    response = sign_in(owner.email, PASSWORD).post(PAGE, {"action_add": "", "email": "second@example.com"})
    assert response["Location"].startswith("/accounts/reauthenticate/")
    assert not EmailAddress.objects.filter(email="second@example.com").exists()


def test_the_only_address_cannot_be_removed(owner: User, mine: Client) -> None:
    mine.post(PAGE, {"action_remove": "", "email": owner.email})
    assert EmailAddress.objects.filter(user=owner).count() == 1


def try_to_take(address: str, mine: Client) -> str:
    """Every way there is, with even the other's mail at hand; returns what the page said first."""
    page = mine.post(PAGE, {"action_add": "", "email": address}, follow=True).content.decode()
    mine.post(PAGE, {"action_primary": "", "email": address})
    mine.post(PAGE, {"action_send": "", "email": address})
    for message in mail.outbox:
        if message.to == [address] and "confirm-email" in str(message.body):
            follow_link_of(message, mine)
    assert mine.post(PAGE, {"action_primary": "", "email": address}).status_code in (200, 302)
    return page


def test_nobody_gets_hold_of_anothers_address(owner: User, stranger: User, mine: Client, sign_in: Callable[..., Client]) -> None:
    theirs = sign_in(stranger.email, PASSWORD)
    assert "already registered" in try_to_take(stranger.email, mine)
    owner.refresh_from_db()
    assert owner.email == "owner@example.com"
    assert sign_in(stranger.email, PASSWORD).session["_auth_user_id"] == str(stranger.pk)
    assert theirs.get("/settings/profile/").status_code == 200


def test_with_mail_a_confirmed_address_of_another_stays_theirs_and_is_not_told(
    owner: User, stranger: User, with_mail: None, sign_in: Callable[..., Client]
) -> None:
    for user in (owner, stranger):
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    mine = sign_in(owner.email, PASSWORD)
    confirm(mine)
    assert "already registered" not in try_to_take(stranger.email, mine)
    owner.refresh_from_db()
    assert owner.email == "owner@example.com"
    assert sign_in(stranger.email, PASSWORD).session["_auth_user_id"] == str(stranger.pk)
