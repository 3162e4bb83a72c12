import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.accounts.conftest import confirm
from tests.conftest import PASSWORD

START = {"google": "https://accounts.google.com/", "github": "https://github.com/"}


@pytest.fixture
def google(settings: Settings) -> None:
    app = {"client_id": "google-id", "secret": "google-secret", "key": ""}
    settings.SOCIALACCOUNT_PROVIDERS = {**settings.SOCIALACCOUNT_PROVIDERS, "google": {"APPS": [app], "SCOPE": ["email"]}}
    settings.SOCIAL_ORIGINS = ["https://accounts.google.com"]


@pytest.mark.parametrize("page", ["/accounts/login/", "/accounts/signup/"])
def test_buttons_show_only_for_what_is_configured(db: None, client: Client, page: str, settings: Settings) -> None:
    assert "Continue with" not in client.get(page).content.decode()
    settings.SOCIALACCOUNT_PROVIDERS = {"github": {"APPS": [{"client_id": "x", "secret": "y", "key": ""}]}}
    shown = client.get(page).content.decode()
    assert "Continue with GitHub" in shown
    assert "Continue with Google" not in shown


def test_the_button_leads_to_the_provider_and_the_policy_lets_it(db: None, google: None) -> None:
    client = Client()
    page = client.get("/accounts/login/")
    assert "form-action 'self' https://accounts.google.com;" in page["Content-Security-Policy"]
    response = client.post("/accounts/google/login/?process=login")
    assert response["Location"].startswith(START["google"])
    assert "google-id" in response["Location"]


@pytest.mark.parametrize("provider", ["google", "github"])
def test_a_provider_that_is_not_configured_is_simply_not_there(db: None, client: Client, provider: str) -> None:
    for address in (f"/accounts/{provider}/login/", f"/accounts/{provider}/login/callback/?code=x&state=y"):
        for response in (client.get(address), client.post(address)):
            assert response.status_code == 404


def test_the_settings_tab_shows_only_when_something_can_be_connected(owner: User, client: Client, google: None) -> None:
    client.post("/accounts/login/", {"login": owner.email, "password": PASSWORD})
    assert "Connect Google" in client.get("/accounts/3rdparty/").content.decode()
    assert "Connected accounts" in client.get("/settings/profile/").content.decode()


def test_an_account_of_a_provider_that_was_switched_off_is_still_listed_and_can_go(owner: User, client: Client) -> None:
    account = SocialAccount.objects.create(user=owner, provider="github", uid="7", extra_data={"login": "octo"})
    client.post("/accounts/login/", {"login": owner.email, "password": PASSWORD})
    confirm(client)
    assert "octo" in client.get("/accounts/3rdparty/").content.decode()
    client.post("/accounts/3rdparty/", {"account": account.pk})
    assert not SocialAccount.objects.exists()


def test_without_providers_there_is_no_such_tab(owner: User, client: Client) -> None:
    client.post("/accounts/login/", {"login": owner.email, "password": PASSWORD})
    assert "Connected accounts" not in client.get("/settings/profile/").content.decode()


def test_the_configuration_passes_djangos_checks(google: None) -> None:
    call_command("check")
