import re
from collections.abc import Callable

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.accounts.conftest import confirm
from tests.conftest import PASSWORD


def code_for(secret: str, steps_ahead: int = 0) -> str:
    counter = sorted(totp.yield_hotp_counters_from_time())[1] + steps_ahead
    return str(totp.format_hotp_value(totp.hotp_value(secret, counter)))


def turn_on(client: Client) -> str:
    confirm(client)
    page = client.get("/accounts/2fa/totp/activate/").content.decode()
    secret = re.search(r'class="secret">(\w+)<', page)
    assert secret
    client.post("/accounts/2fa/totp/activate/", {"code": code_for(secret[1])})
    return secret[1]


@pytest.fixture
def protected(owner: User, sign_in: Callable[..., Client]) -> tuple[User, str, Client]:
    client = sign_in(owner.email, PASSWORD)
    return owner, turn_on(client), client


def test_turning_it_on_makes_recovery_codes_and_shows_in_settings(protected: tuple[User, str, Client]) -> None:
    owner, _, client = protected
    assert set(Authenticator.objects.filter(user=owner).values_list("type", flat=True)) == {"totp", "recovery_codes"}
    assert "Turn off" in client.get("/settings/security/").content.decode()
    codes = client.get("/accounts/2fa/recovery-codes/download/")
    assert len(re.findall(rb"\d{8}", codes.content)) == 10


def test_a_password_alone_no_longer_signs_in(protected: tuple[User, str, Client], sign_in: Callable[..., Client]) -> None:
    owner, secret, _ = protected
    elsewhere = sign_in(owner.email, PASSWORD)
    assert "_auth_user_id" not in elsewhere.session
    assert elsewhere.get("/settings/security/").status_code == 302
    assert "Incorrect code" in elsewhere.post("/accounts/2fa/authenticate/", {"code": "000000"}).content.decode()
    elsewhere.post("/accounts/2fa/authenticate/", {"code": code_for(secret, 1)})
    assert elsewhere.session["_auth_user_id"] == str(owner.pk)


def test_a_code_works_once_even_while_redis_is_away(
    protected: tuple[User, str, Client], sign_in: Callable[..., Client], settings: Settings
) -> None:
    owner, secret, _ = protected
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1"}}
    code = code_for(secret, 1)
    first, second = sign_in(owner.email, PASSWORD), sign_in(owner.email, PASSWORD)
    first.post("/accounts/2fa/authenticate/", {"code": code})
    second.post("/accounts/2fa/authenticate/", {"code": code})
    assert ["_auth_user_id" in browser.session for browser in (first, second)] == [True, False]


def test_a_recovery_code_works_once(protected: tuple[User, str, Client], sign_in: Callable[..., Client]) -> None:
    owner, _, client = protected
    (code, *_) = re.findall(r"\b\d{8}\b", client.get("/accounts/2fa/recovery-codes/").content.decode())
    for works in (True, False):
        elsewhere = sign_in(owner.email, PASSWORD)
        elsewhere.post("/accounts/2fa/authenticate/", {"code": code})
        assert ("_auth_user_id" in elsewhere.session) is works


def test_guessing_codes_is_stopped(protected: tuple[User, str, Client], sign_in: Callable[..., Client]) -> None:
    owner, secret, _ = protected
    elsewhere = sign_in(owner.email, PASSWORD)
    for _ in range(5):
        elsewhere.post("/accounts/2fa/authenticate/", {"code": "000000"})
    elsewhere.post("/accounts/2fa/authenticate/", {"code": code_for(secret, 1)})
    assert "_auth_user_id" not in elsewhere.session


def test_turning_it_off_asks_who_is_there_first(protected: tuple[User, str, Client], client_of: Callable[[User], Client]) -> None:
    owner, _, client = protected
    left_open = client_of(owner)  # signed in long ago, nobody has typed a password since
    assert "reauthenticate" in left_open.post("/accounts/2fa/totp/deactivate/")["Location"]
    client.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.filter(user=owner).exists()


def test_what_is_stored_gives_no_code_away_and_outlives_a_change_of_keys(
    protected: tuple[User, str, Client], sign_in: Callable[..., Client], settings: Settings
) -> None:
    owner, secret, client = protected
    codes = re.findall(r"\b\d{8}\b", client.get("/accounts/2fa/recovery-codes/").content.decode())
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    assert not any(code in stored for code in codes)
    settings.FIELD_ENCRYPTION_KEYS = ["a new key", *(settings.FIELD_ENCRYPTION_KEYS or [settings.SECRET_KEY])]
    elsewhere = sign_in(owner.email, PASSWORD)
    elsewhere.post("/accounts/2fa/authenticate/", {"code": code_for(secret, 1)})
    assert elsewhere.session["_auth_user_id"] == str(owner.pk)
