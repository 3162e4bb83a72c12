"""Money as a new user sees it: in a real browser, against the running product and the scripted provider."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from accounts.models import User
from billing.models import Budget, LedgerEntry
from chatai.templatetags.ui import balance, dollars
from tests.billing.spending import set_limit, spend
from tests.conftest import PASSWORD
from tests.running import World
from tests.stack import ARTIFACTS
from threads.models import Turn

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SCREENS = ARTIFACTS / "screens"
MODEL = "claude-haiku-4-5"


@pytest.fixture
def browser(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread; nothing here runs inside it
    SCREENS.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What went wrong in the page, or was refused by its policy."""
    return []


@pytest.fixture
def page(world: World, browser: Browser, complaints: list[str]) -> Page:
    context = browser.new_context(base_url=world.stack.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
    return page


@pytest.fixture
def newcomer(world: World, page: Page) -> User:
    """Signed up a moment ago, a new chat open."""
    email = f"new-{uuid4().hex[:8]}@example.com"
    page.goto("/accounts/signup/")
    page.fill("input[name=email]", email)
    page.fill("input[name=password1]", PASSWORD)
    page.press("input[name=password1]", "Enter")
    page.wait_for_url(re.compile("/c/"))
    user = User.objects.get(email=email)
    world.people.append(user)
    page.locator("[name=model]").first.select_option(MODEL)
    return user


def send(page: Page, text: str) -> None:
    page.fill("textarea[name=text]", text)
    page.press("textarea[name=text]", "Enter")


def answered(page: Page, count: int) -> None:
    expect(page.locator('[data-turn][data-status="done"]')).to_have_count(count)


def picture(page: Page, name: str) -> None:
    page.screenshot(path=SCREENS / f"money-{name}.png")


def test_sign_up_shows_five_dollars_and_an_answer_lowers_them_by_its_price(page: Page, newcomer: User, complaints: list[str]) -> None:
    page.click("button.account")
    expect(page.locator("#account-menu")).to_contain_text("$5.00 left")
    page.click("#account-menu a:has-text('Usage')")
    expect(page.locator(".amount")).to_have_text(re.compile(r"\$5\.00\s+left of \$5\.00"))
    page.goto("/c/new")
    page.locator("[name=model]").first.select_option(MODEL)
    page.fill("textarea[name=text]", "[[tokens=2000]] What does it cost?")
    expect(page.locator("#estimate")).to_have_text(re.compile(r"^About \$0\.00\d+$"))
    page.press("textarea[name=text]", "Enter")
    answered(page, 1)
    expect(page.locator("#estimate")).to_have_text("")

    cost = Turn.objects.get(thread__user=newcomer).cost_micros
    assert cost > 2000
    assert Budget.objects.get(user=newcomer).spent_micros == cost
    assert LedgerEntry.objects.get(user_id=newcomer.pk, kind="turn").cost_micros == cost
    expect(page.locator("article[data-role=assistant] .price")).to_have_text(dollars(cost))
    page.hover("article[data-role=assistant]")
    expect(page.locator("article[data-role=assistant] .facts")).to_contain_text("+ 2,000 tokens")
    page.click("#gauge")
    expect(page.locator("#gauge-details [data-gauge=total]")).to_have_text(dollars(cost, 4))
    expect(page.locator("#gauge-details [data-left-to-spend]")).to_have_text(dollars(5_000_000 - cost, 4))
    picture(page, "answer")
    page.goto("/billing/usage/")
    expect(page.locator("#left")).to_have_text(balance(5_000_000 - cost))
    expect(page.locator("#lines tbody tr").first).to_contain_text(dollars(cost, 4))
    expect(page.locator("#chart canvas")).to_be_visible()
    expect(page.locator("#by-day table")).to_be_hidden()
    page.click("#by-day summary")
    expect(page.locator("#by-day tbody tr:last-child")).to_contain_text(dollars(cost))
    picture(page, "usage")
    assert complaints == []


def test_a_spent_budget_shows_the_card_and_asks_nobody(world: World, page: Page, newcomer: User, complaints: list[str]) -> None:
    spend(newcomer, 4_999_800)
    asked = world.stack.provider_stats()["requests"]
    send(page, "[[tokens=2]] Once more, please")
    card = page.locator("#notice .budget-card")
    expect(card).to_contain_text("Not enough is left for this message")
    expect(card).to_contain_text("$0.0002 of your $5.00 is left")
    expect(card).to_contain_text("ask the administrator")
    expect(page.locator("textarea[name=text]")).to_have_value("[[tokens=2]] Once more, please")
    expect(page.locator("[data-turn]")).to_have_count(0)
    picture(page, "card")
    assert world.stack.provider_stats()["requests"] == asked
    assert Budget.objects.get(user=newcomer).reserved_micros == 0
    assert not Turn.objects.filter(thread__user=newcomer).exists()

    set_limit(newcomer, 6_000_000)
    Budget.objects.filter(key__user=newcomer).update(limit_micros=6_000_000)
    page.press("textarea[name=text]", "Enter")
    answered(page, 1)
    expect(card).to_have_count(0)
    assert complaints == []


def test_the_strip_comes_while_answers_are_paid_for_and_goes_when_it_is_closed(page: Page, newcomer: User, complaints: list[str]) -> None:
    send(page, "[[tokens=2000]] one")
    answered(page, 1)
    spent = Budget.objects.get(user=newcomer).spent_micros
    set_limit(newcomer, spent * 22 // 10)
    page.goto("/c/new")  # a new chat, whose little history leaves room for an answer
    page.locator("[name=model]").first.select_option(MODEL)
    expect(page.locator(".budget-strip")).to_have_count(0)
    send(page, "[[tokens=600]] two")
    answered(page, 1)
    expect(page.locator(".budget-strip")).to_contain_text("of your budget is spent")
    picture(page, "strip")
    page.click(".budget-strip button")
    expect(page.locator(".budget-strip")).to_have_count(0)
    page.reload()
    answered(page, 1)
    expect(page.locator(".budget-strip")).to_have_count(0)
    assert complaints == []


def test_what_is_typed_costs_no_request(page: Page, newcomer: User) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("textarea[name=text]").press_sequentially("A question that is typed key by key", delay=5)
    expect(page.locator("#estimate")).to_contain_text("About $")
    dear = page.locator("#estimate").inner_text()
    page.locator("[name=model]").first.select_option("claude-opus-4-5")
    expect(page.locator("#estimate")).not_to_have_text(dear)
    assert [url for url in asked if not url.startswith("data:")] == []
    page.fill("textarea[name=text]", "")
    expect(page.locator("#estimate")).to_have_text("")
