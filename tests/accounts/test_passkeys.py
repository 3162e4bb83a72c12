"""Passkeys in a real browser, with the authenticator that Chromium brings for this."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import ConsoleMessage, Page, sync_playwright
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A browser with a fingerprint reader; a complaint in its console, of the policy above all, fails the test."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread; nothing here runs inside it
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        page = browser.new_page()
        page.on("console", note)
        devtools = page.context.new_cdp_session(page)
        devtools.send("WebAuthn.enable")
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        yield page
        browser.close()
    assert complaints == []


@pytest.fixture
def site(live_server: LiveServer, settings: Settings) -> str:
    settings.LOGIN_REDIRECT_URL = "settings_profile"  # the chat page wants a websocket, which this server has not
    # It finds static files by their plain names.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    return str(live_server.url).replace("127.0.0.1", "localhost")


def sign_in(page: Page, site: str, user: User) -> None:
    page.goto(f"{site}/accounts/login/")
    page.get_by_label("Email").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda url: "/login/" not in url)


def add_passkey(page: Page, site: str, *, alone: bool) -> None:
    page.goto(f"{site}/accounts/2fa/webauthn/add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Sign in with it alone").set_checked(alone)
    page.get_by_role("button", name="Add passkey").click()
    page.get_by_role("heading", name="Recovery codes").wait_for()


def test_a_passkey_alone_signs_in(owner: User, site: str, page: Page) -> None:
    sign_in(page, site, owner)
    add_passkey(page, site, alone=True)
    page.goto(f"{site}/accounts/2fa/webauthn/")
    assert "No password needed" in page.get_by_role("main").inner_text()
    page.context.clear_cookies()
    page.goto(f"{site}/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_role("heading", name="Profile").wait_for()
    assert owner.email in page.get_by_role("main").inner_text()


def test_a_passkey_as_the_second_step(owner: User, site: str, page: Page) -> None:
    sign_in(page, site, owner)
    add_passkey(page, site, alone=False)
    page.context.clear_cookies()
    sign_in(page, site, owner)
    page.get_by_role("heading", name="Two-step sign-in").wait_for()
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_role("heading", name="Profile").wait_for()
    assert owner.email in page.get_by_role("main").inner_text()


def test_a_passkey_that_is_not_there_is_said_in_a_sentence(owner: User, site: str, page: Page) -> None:
    page.goto(f"{site}/accounts/login/")
    page.evaluate("() => { navigator.credentials.get = async () => { throw new DOMException('', 'NotAllowedError') } }")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_text("The passkey was not used").wait_for()
