"""The API keys page: what is shown, and to whom."""

from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys, snippets
from accounts.models import ApiKey, User
from tests.dom import parse

ClientOf = Callable[[User], Client]
PAGE = "/settings/keys/"


def form(**given: str) -> dict[str, str]:
    return {"id": str(uuid4()), "name": "My app", "scope": "standard", "max_spend_usd": "", **given}


def text(response: Any) -> str:
    return unescape(response.content.decode())


def secret_of(response: Any) -> str:
    found = parse(response.content.decode()).by_id("secret")
    return found.text if found else ""


def made(owner: User) -> list[ApiKey]:
    return list(ApiKey.objects.for_user(owner).filter(personal=False))


def test_a_key_is_made_and_its_secret_shown_once(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    response = client.post(PAGE, form(max_spend_usd="2.5"))
    secret = secret_of(response)
    (key,) = made(owner)
    assert (key.name, key.scope, key.max_spend_micros) == ("My app", "standard", 2_500_000)
    assert keys.authenticate(secret) == key
    assert "no-store" in response.headers["Cache-Control"]
    listed = text(client.get(PAGE))
    assert secret not in listed
    assert key.prefix in listed
    assert "Cap $2.50" in listed


def test_the_same_form_again_makes_no_second_key_and_shows_no_secret(owner: User, client_of: ClientOf) -> None:
    client, sent = client_of(owner), form()
    assert secret_of(client.post(PAGE, sent))
    again = client.post(PAGE, sent, follow=True)
    assert secret_of(again) == ""
    assert "was made already" in text(again)
    assert len(made(owner)) == 1


def test_the_id_of_another_persons_key_tells_nothing_and_changes_nothing(owner: User, stranger: User, client_of: ClientOf) -> None:
    sent = form()
    client_of(owner).post(PAGE, sent)
    before = ApiKey.objects.values().get(pk=sent["id"])
    answer = client_of(stranger).post(PAGE, sent, follow=True)
    assert secret_of(answer) == ""
    assert made(stranger) == []
    assert ApiKey.objects.values().get(pk=sent["id"]) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"name": "a\0b"},
        {"scope": "root"},
        {"scope": "master"},
        {"max_spend_usd": "-1"},
        {"max_spend_usd": "NaN"},
        {"max_spend_usd": "1e12"},
        {"max_spend_usd": "a lot"},
        {"id": "seven"},
    ],
)
def test_a_key_that_makes_no_sense_is_refused_in_place(owner: User, client_of: ClientOf, wrong: dict[str, str]) -> None:
    response = client_of(owner).post(PAGE, form(**wrong))
    assert response.status_code == 400
    assert made(owner) == []


def test_anybody_may_make_an_admin_key_of_their_own_account(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    secret = secret_of(client.post(PAGE, form(scope="admin")))
    listed = Client().get("/v1/keys", headers={"Authorization": f"Bearer {secret}"})
    assert {row["name"] for row in listed.json()["keys"]} == {"Personal", "My app"}, "and it sees no other account"


def test_the_list_says_when_a_key_was_used_and_shows_hostile_names_as_text(owner: User, stranger: User, client_of: ClientOf) -> None:
    key, _ = keys.mint(owner, "<script>x</script>", "admin")
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now() - timedelta(hours=3))
    keys.mint(stranger, "Not yours")
    raw = client_of(owner).get(PAGE).content.decode()
    assert "<script>x" not in raw
    page = unescape(raw).replace("\xa0", " ")
    assert "<script>x</script>" in page
    assert "Used 3 hours ago" in page
    assert "Never used" in page
    assert "No cap of its own" in page
    assert "Not yours" not in page


def test_revoking_asks_first_and_works_from_the_next_request_on(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    secret = secret_of(client.post(PAGE, form()))
    (key,) = made(owner)
    address = f"{PAGE}{key.pk}/revoke/"
    assert "Revoke “My app”?" in text(client.get(address))
    assert keys.authenticate(secret) == key
    assert "is revoked" in text(client.post(address, follow=True))
    assert keys.authenticate(secret) is None
    assert client.post(address).status_code == 404, "it is revoked already"
    assert "1 revoked" in text(client.get(PAGE))


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stranger_cannot_revoke_it(method: str, owner: User, stranger: User, client_of: ClientOf) -> None:
    key, secret = keys.mint(owner, "My app")
    assert getattr(client_of(stranger), method)(f"{PAGE}{key.pk}/revoke/").status_code == 404
    assert keys.authenticate(secret) == key


def test_the_personal_key_is_shown_and_stays(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    personal = owner.api_keys.get(personal=True)
    page = text(client.get(PAGE))
    assert personal.prefix in page
    assert "cannot be revoked here" in page
    address = f"{PAGE}{personal.pk}/revoke/"
    assert address not in page
    assert client.post(address).status_code == 404
    personal.refresh_from_db()
    assert personal.revoked_at is None


def test_every_call_is_there_in_every_language_for_this_server(owner: User, client_of: ClientOf) -> None:
    document = parse(client_of(owner).get(PAGE, headers={"Host": "localhost:8123"}).content.decode())
    blocks = [one for one in document.all("pre") if (one.get("id") or "").split("-")[0] in snippets.LANGUAGES]
    assert len(blocks) == 4 * 3
    assert all("http://localhost:8123/v1/threads" in one.text or '"http://localhost:8123"' in one.text for one in blocks)
    assert not any(word in one.text for one in blocks for word in ("HOST", "MODEL"))
    buttons = {one["data-from"] for one in document.all("button", data_do="copy-text")}
    assert {one["id"] for one in blocks} <= buttons
