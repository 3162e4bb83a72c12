from collections.abc import Callable

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.test import Client

from accounts.models import User
from tests.accounts.conftest import NEW_PASSWORD
from tests.conftest import PASSWORD

Hints = list[tuple[str, ...]]


def key_of(client: Client) -> str:
    return client.cookies["sessionid"].value


def signed_in(client: Client) -> bool:
    return client.get("/settings/profile/").status_code == 200


def test_the_list_names_each_device_and_marks_this_one(owner: User, sign_in: Callable[..., Client]) -> None:
    here, _ = sign_in(owner.email, PASSWORD), sign_in(owner.email, PASSWORD)
    page = here.get("/accounts/sessions/").content.decode()
    assert page.count("Firefox on Linux") == 2
    assert page.count("This one") == 1


def test_one_other_session_is_signed_out_and_its_sockets_are_told(
    transactional_db: None, owner: User, sign_in: Callable[..., Client], hints_sent: Hints
) -> None:
    here, there = sign_in(owner.email, PASSWORD), sign_in(owner.email, PASSWORD)
    kept, ended = key_of(here), key_of(there)
    other = UserSession.objects.get(session_key=ended)
    assert here.post(f"/settings/security/sessions/{other.pk}/end/").status_code == 302
    assert (signed_in(here), signed_in(there)) == (True, False)
    assert ("live", "sessions", ended) in hints_sent
    assert not any(kept in hint for hint in hints_sent)


def test_a_stranger_cannot_end_it(owner: User, stranger: User, sign_in: Callable[..., Client]) -> None:
    mine, theirs = sign_in(owner.email, PASSWORD), sign_in(stranger.email, PASSWORD)
    session = UserSession.objects.get(user=owner)
    foreign = theirs.post(f"/settings/security/sessions/{session.pk}/end/")
    missing = theirs.post("/settings/security/sessions/999999/end/")
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert theirs.post("/accounts/sessions/").status_code == 302  # signs out the stranger's own others only
    assert signed_in(mine)


def test_all_others_are_signed_out_at_once(owner: User, sign_in: Callable[..., Client]) -> None:
    here, *others = (sign_in(owner.email, PASSWORD) for _ in range(3))
    here.post("/accounts/sessions/")
    assert [signed_in(client) for client in (here, *others)] == [True, False, False]


def test_signing_out_tells_the_sockets_after_the_session_is_gone(
    transactional_db: None, owner: User, sign_in: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = sign_in(owner.email, PASSWORD)
    key, seen = key_of(client), []

    def look_again(group: str, kind: str, *ids: object) -> None:
        seen.append((kind, ids, Session.objects.filter(session_key=key).exists()))

    monkeypatch.setattr("chatai.lib.hints.announce", look_again)
    client.post("/accounts/logout/")
    assert ("sessions", (key,), False) in seen
    assert not UserSession.objects.exists()


def test_a_new_password_signs_out_everywhere_else(
    transactional_db: None, owner: User, sign_in: Callable[..., Client], hints_sent: Hints
) -> None:
    here, there = sign_in(owner.email, PASSWORD), sign_in(owner.email, PASSWORD)
    ended = key_of(there)
    form = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    assert here.post("/accounts/password/change/", form).status_code == 302
    assert (signed_in(here), signed_in(there)) == (True, False)
    assert any(ended in hint for hint in hints_sent)


def test_a_password_set_by_an_operator_and_a_deactivation_reach_the_sockets_too(
    transactional_db: None, owner: User, sign_in: Callable[..., Client], hints_sent: Hints
) -> None:
    client = sign_in(owner.email, PASSWORD)
    owner.set_password(NEW_PASSWORD)
    owner.save()
    assert ("live", "sessions", key_of(client)) in hints_sent
    client = sign_in(owner.email, NEW_PASSWORD)
    owner.is_active = False
    owner.save()
    assert any(key_of(client) in hint for hint in hints_sent)
    assert not signed_in(client)
