from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse

from accounts import preferences, urls
from accounts.models import User

Clients = Callable[[User], Client]

HOLES: dict[str, dict[str, Any]] = {"settings_end_session": {"session_id": 1}, "settings_keys_revoke": {"key_id": UUID(int=1)}}
ROUTES = [reverse(route.name, kwargs=HOLES.get(route.name)) for route in urls.urlpatterns if route.name]


@pytest.mark.parametrize("address", ROUTES)
def test_nobody_sees_settings_without_signing_in(db: None, client: Client, address: str) -> None:
    for response in (client.get(address), client.post(address)):
        if response["Location"] == reverse("settings_profile"):
            continue  # /settings/ itself only points the way
        assert response["Location"].startswith("/accounts/login/?next=/settings/")


@pytest.fixture
def two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preferences, "_model_choices", lambda: [("swift", "Swift"), ("deep", "Deep")])


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("/settings/profile/", {"name": "Ada"}),
        ("/settings/appearance/", {"theme": "dark"}),
        ("/settings/chat/", {"default_model": "deep", "custom_instructions": "Be brief.\nNo lists."}),
        ("/settings/chat/", {"default_model": "", "custom_instructions": ""}),
    ],
)
def test_a_choice_is_kept_and_only_for_that_person(
    owner: User, stranger: User, client_of: Clients, two_models: None, address: str, form: dict[str, str]
) -> None:
    client = client_of(owner)
    page = client.post(address, form, follow=True)
    assert "Saved." in page.content.decode()
    kept = User.objects.values(*form).get(pk=owner.pk)
    assert {name: value.replace("\r\n", "\n") for name, value in kept.items()} == form
    assert User.objects.values(*form).get(pk=stranger.pk) == {name: getattr(stranger, name) for name in form}


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("/settings/profile/", {"name": "x" * 121}),
        ("/settings/profile/", {"name": "a\0b"}),
        ("/settings/appearance/", {"theme": "pink"}),
        ("/settings/chat/", {"default_model": "unknown", "custom_instructions": ""}),
        ("/settings/chat/", {"default_model": "", "custom_instructions": "x" * 8001}),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_in_place(owner: User, client_of: Clients, address: str, form: dict[str, str]) -> None:
    client = client_of(owner)
    before = User.objects.values().get(pk=owner.pk)
    response = client.post(address, form)
    assert response.status_code == 400
    assert "errorlist" in response.content.decode()
    assert User.objects.values().get(pk=owner.pk) == before


def test_the_theme_is_on_every_page(owner: User, client_of: Clients) -> None:
    client = client_of(owner)
    client.post("/settings/appearance/", {"theme": "dark"})
    assert 'data-theme="dark"' in client.get("/settings/security/").content.decode()


def test_a_form_field_that_is_not_on_the_page_changes_nothing(owner: User, client_of: Clients) -> None:
    client_of(owner).post("/settings/profile/", {"name": "Ada", "is_superuser": "on", "email": "root@example.com", "is_staff": "1"})
    owner.refresh_from_db()
    assert (owner.name, owner.is_superuser, owner.is_staff, owner.email) == ("Ada", False, False, "owner@example.com")


def test_hostile_names_are_shown_as_text(owner: User, client_of: Clients) -> None:
    client = client_of(owner)
    client.post("/settings/profile/", {"name": '"><script>alert(1)</script>'})
    assert "<script>alert" not in client.get("/settings/profile/").content.decode()
