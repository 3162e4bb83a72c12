"""Paying as a new user does it: in a real browser, with the running product and the fake Stripe between them."""

from __future__ import annotations

import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, expect, sync_playwright

from accounts.models import User
from tests.conftest import PASSWORD
from tests.fake_stripe.delivery import sign
from tests.fake_stripe.server import FakeStripe
from tests.running import STACK_DATABASE, World, database_url
from tests.stack import ARTIFACTS, Stack, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SCREENS = ARTIFACTS / "screens"
SECRET = "whsec_stack"
THEMES = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeStripe]:
    with FakeStripe() as running:
        yield running


@pytest.fixture(scope="module")
def shop(stack: Stack, fake: FakeStripe) -> Iterator[Stack]:
    """A `web` process beside the others that takes payments. The fake sends its events there."""
    plans = f"Monthly credit:{fake.price('Monthly credit', 2000)}:25"
    keys = {"STRIPE_API_BASE": fake.url, "STRIPE_SECRET_KEY": fake.secret_key, "STRIPE_WEBHOOK_SECRET": SECRET, "BILLING_PLANS": plans}
    shop = Stack("stripe", database_url(STACK_DATABASE), settings.REDIS_URL, **keys)
    shop.imported = ["chatai.urls"]
    fake.deliveries.endpoints.append((f"{shop.url}/billing/webhook", SECRET))
    try:
        shop.start("web")
        shop.wait_ready()
        yield shop
    finally:
        shop.stop()


@pytest.fixture
def browser(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread; nothing here runs inside it
    SCREENS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


def visit(browser: Browser, stack: Stack) -> tuple[Page, list[str]]:
    """A tab, and what the browser refused in it."""
    context = browser.new_context(base_url=stack.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    page, refused = context.new_page(), list[str]()
    page.on("console", lambda message: refused.append(message.text) if "Content Security Policy" in message.text else None)
    page.on("pageerror", lambda error: refused.append(str(error)))
    return page, refused


def sign_up(page: Page, world: World, email: str) -> User:
    page.goto("/accounts/signup/")
    page.fill("input[name=email]", email)
    page.fill("input[name=password1]", PASSWORD)
    page.press("input[name=password1]", "Enter")
    page.wait_for_url(re.compile("/c/"))
    user = User.objects.get(email=email)
    world.people.append(user)
    return user


def pictures(page: Page, name: str) -> None:
    for theme, width in THEMES:
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 844 if width == 390 else 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out sideways"
        page.wait_for_timeout(200)  # until the colours have changed
        page.screenshot(path=SCREENS / f"{name}-{width}-{theme}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 800})


def test_a_new_user_adds_money_and_takes_a_plan(world: World, shop: Stack, fake: FakeStripe, browser: Browser) -> None:
    page, refused = visit(browser, shop)
    sign_up(page, world, f"payer-{shop.port}@example.com")
    page.goto("/billing/")
    expect(page.locator("#left")).to_have_text("$5.00")
    page.get_by_role("button", name="Add $10.00").click()
    page.wait_for_url(re.compile(re.escape(fake.url)))
    expect(page.locator("body")).to_contain_text("$10.00")
    page.get_by_role("button", name="Pay").click()
    page.wait_for_url(f"{shop.url}/billing/")
    expect(page.locator("#left")).to_have_text("$15.00")
    expect(page.locator(".notices")).to_contain_text("Your payment has arrived")
    pictures(page, "billing")

    page.get_by_role("link", name="See the plans").click()
    page.get_by_role("button", name="Subscribe to Monthly credit").click()
    page.get_by_role("button", name="Pay").click()
    page.wait_for_url(f"{shop.url}/billing/")
    expect(page.locator("#left")).to_have_text("$40.00")
    page.goto("/billing/plans/")
    expect(page.locator(".badge")).to_have_text("Your plan")
    pictures(page, "plans")
    page.goto("/billing/invoices/")
    expect(page.locator(".bill")).to_have_count(2)
    pictures(page, "invoices")

    page.goto("/billing/")
    page.get_by_role("button", name="Open at Stripe").click()
    page.get_by_role("button", name="Cancel plan").click()
    page.get_by_role("link", name="Return").click()
    page.wait_for_url(f"{shop.url}/billing/")
    (subscription,) = fake.books.newest("subscription")
    assert subscription["status"] == "canceled"

    top_up = fake.books.newest("payment_intent", amount=1000)[0]
    fake.books.refund(top_up["id"])
    until(fake.deliveries.waiting.empty, 20, "all events are taken")
    fake.deliveries.waiting.join()
    assert {status for _, status in fake.deliveries.answers} == {200}
    page.reload()
    expect(page.locator("#left")).to_have_text("$30.00")
    assert refused == []


def test_a_browser_goes_to_no_other_checkout(
    world: World, shop: Stack, fake: FakeStripe, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy that lets forms lead to Stripe is there for a reason: Chromium holds redirects after a form against it."""
    page, refused = visit(browser, shop)
    sign_up(page, world, f"wary-{shop.port}@example.com")
    monkeypatch.setattr(fake.books, "url", fake.url.replace("127.0.0.1", "localhost"))  # another origin, with the same pages
    page.goto("/billing/")
    page.get_by_role("button", name="Add $5.00").click()
    until(lambda: page.evaluate("1") and any("form-action" in said for said in refused), 20, "the browser complains")
    assert page.url == f"{shop.url}/billing/"


def test_without_keys_it_says_how(world: World, browser: Browser) -> None:
    page, refused = visit(browser, world.stack)
    sign_up(page, world, f"asking-{world.stack.port}@example.com")
    page.goto("/billing/")
    page.get_by_text("For whoever runs this server").click()
    expect(page.locator("main")).to_contain_text(f"{world.stack.url}/billing/webhook")
    pictures(page, "billing-off")
    assert refused == []


def test_five_megabytes_at_the_door_of_the_running_product(shop: Stack) -> None:
    body = b"{" + b" " * 5_000_000 + b"}"
    headers = {"Stripe-Signature": sign(body, SECRET), "Content-Type": "application/json"}
    request = urllib.request.Request(f"{shop.url}/billing/webhook", body, headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 400
