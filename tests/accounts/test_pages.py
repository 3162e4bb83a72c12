"""Every page of signing in and of settings: it renders, looks like ours, and holds nothing that the policy would block."""

from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import get_resolver

from accounts.models import User
from tests.accounts.conftest import confirm
from tests.accounts.test_two_step import turn_on
from tests.conftest import PASSWORD

OUTSIDE = ["login", "signup", "password/reset", "password/reset/done", "password/reset/key/done", "password/reset/key/a-b"]
OUTSIDE += ["confirm-email", "confirm-email/spoiled", "inactive", "3rdparty/login/cancelled", "3rdparty/login/error"]
INSIDE = ["logout", "email", "password/change", "reauthenticate", "sessions", "3rdparty", "2fa", "2fa/webauthn", "2fa/webauthn/add"]
PROTECTED = ["2fa", "2fa/totp/deactivate", "2fa/recovery-codes", "2fa/recovery-codes/generate", "2fa/reauthenticate"]
SETTINGS = ["profile", "appearance", "chat", "security", "data", "data/close"]
# Needs something that the tests below make: an own key, or a sign-in half done. `signup` of 3rdparty and `code` redirect away.
ELSEWHERE = {"account_confirm_login_code", "account_set_password", "mfa_activate_totp", "mfa_authenticate", "mfa_download_recovery_codes"}
ELSEWHERE |= {"mfa_login_webauthn", "mfa_reauthenticate_webauthn", "mfa_remove_webauthn", "mfa_edit_webauthn", "socialaccount_signup"}
ELSEWHERE |= {f"{provider}_{step}" for provider in ("google", "github") for step in ("login", "callback", "login_by_token")}


class Inline(HTMLParser):
    """Collects what a policy without 'unsafe-inline' would block, and data blocks too."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]
        self.found += [
            str(value) for name, value in names.items() if name in ("href", "action", "src") and (value or "").startswith("javascript")
        ]


def look(client: Client, address: str) -> str:
    response = client.get(address, follow=True)
    html = response.content.decode()
    assert response.status_code == (401 if address.endswith("login/error/") else 200), address
    assert response.request["PATH_INFO"] == address
    assert response["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert Inline(html).found == []
    assert html.count("<h1>") == 1
    assert "css/account." in html
    return html


@pytest.mark.parametrize("page", OUTSIDE)
def test_pages_for_everybody(db: None, client: Client, page: str) -> None:
    assert 'class="entrance"' in look(client, f"/accounts/{page}/")


@pytest.mark.parametrize("address", [*(f"/accounts/{page}/" for page in INSIDE), *(f"/settings/{page}/" for page in SETTINGS)])
def test_pages_for_whoever_is_signed_in(owner: User, sign_in: Callable[..., Client], address: str) -> None:
    client = sign_in(owner.email, PASSWORD)
    confirm(client)
    look(client, address)


def test_pages_of_two_step_sign_in(owner: User, sign_in: Callable[..., Client]) -> None:
    client = sign_in(owner.email, PASSWORD)
    turn_on(client)
    for page in PROTECTED:
        look(client, f"/accounts/{page}/")
    assert "authenticator app" in look(sign_in(owner.email, PASSWORD), "/accounts/2fa/authenticate/")


def test_pages_without_a_password(owner: User, client_of: Callable[[User], Client]) -> None:
    owner.set_unusable_password()
    owner.save()
    client = client_of(owner)
    assert "Set a password" in look(client, "/settings/security/")
    look(client, "/accounts/password/set/")


def test_every_page_that_allauth_brings_is_looked_at(db: None) -> None:
    known = {f"/accounts/{page}/" for page in (*OUTSIDE, *INSIDE, *PROTECTED)}
    names = set()
    for pattern in get_resolver().url_patterns:
        if str(pattern.pattern) == "accounts/":
            names = set(_names(pattern)) - ELSEWHERE
    resolved = {get_resolver().resolve(address).url_name for address in known}
    assert names - resolved == set()


def _names(resolver: object) -> list[str]:
    found: list[str] = []
    for pattern in getattr(resolver, "url_patterns", []):
        name = getattr(pattern, "name", None)
        found += [name] if name else _names(pattern)
    return found


def test_tabs_mark_where_one_is(owner: User, sign_in: Callable[..., Client]) -> None:
    client = sign_in(owner.email, PASSWORD)
    for address, tab in {"/accounts/2fa/": "/settings/security/", "/settings/data/close/": "/settings/data/"}.items():
        html = client.get(address, follow=True).content.decode()
        assert f'href="{tab}" aria-current="page"' in html
        assert html.count('aria-current="page"') == 1


def test_no_one_elses_passkey_can_be_renamed_or_removed(owner: User, stranger: User, sign_in: Callable[..., Client]) -> None:
    mine = Authenticator.objects.create(user=owner, type=Authenticator.Type.WEBAUTHN, data={"name": "mine", "credential": {}})
    client = sign_in(stranger.email, PASSWORD)
    confirm(client)
    for verb in ("remove", "edit"):
        assert client.post(f"/accounts/2fa/webauthn/keys/{mine.pk}/{verb}/", {"name": "theirs"}).status_code == 404
    mine.refresh_from_db()
    assert mine.data["name"] == "mine"
