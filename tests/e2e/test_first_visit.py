"""What a newcomer does, in a real browser against the running product."""

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from accounts.models import User
from tests.conftest import PASSWORD
from tests.running import World, words
from tests.stack import ARTIFACTS

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SCREENS = ARTIFACTS / "screens"
HOSTILE = (
    "<script>window.ran = 1</script><svg onload=\"window.ran = 1\"></svg><img src=x onerror='window.ran = 1'> "
    "[a](javascript:window.ran=1) ![leak](http://evil.example/leak.png?x) <b hx-get=/admin/ hx-trigger=load>b</b> "
    "<iframe src=http://evil.example></iframe> <style>*{display:none}</style> </div></div></article> done"
)


@pytest.fixture
def browser(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread; nothing here runs inside it
    SCREENS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        found = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """One browser context, with everything it complained of and asked for."""

    def __init__(self, browser: Browser, url: str, **options: object) -> None:
        self.url = url
        self.context: BrowserContext = browser.new_context(base_url=url, **options)  # type: ignore[arg-type]
        self.context.set_default_timeout(20_000)
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.context.on("request", self._asked)
        self.page = self.tab()

    def tab(self) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text) if "Content Security Policy" in message.text else None)
        return page

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:", self.url.replace("http", "ws"))):
            self.foreign.append(request.url)

    def sign_in(self, world: World) -> User:
        user = world.person()
        self.page.goto("/accounts/login/")
        self.page.fill("input[name=login]", user.email)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.press("input[name=password]", "Enter")
        self.page.wait_for_url(re.compile("/c/"))
        return user


def send(page: Page, text: str, model: str = "claude-haiku-4-5") -> None:
    page.locator("[name=model]").first.select_option(model)
    page.fill("textarea[name=text]", text)
    page.press("textarea[name=text]", "Enter")


def answers(page: Page) -> list[str]:
    return [" ".join(text.split()) for text in page.locator("article[data-role=assistant] .answer").all_inner_texts()]


def picture(page: Page, name: str) -> Path:
    path = SCREENS / f"{name}.png"
    page.screenshot(path=path)
    return path


def test_sign_up_send_reload_second_tab_stop_rename_sign_out(world: World, browser: Browser) -> None:
    visit = Visit(browser, world.stack.url, viewport={"width": 1280, "height": 800})
    page = visit.page
    page.goto("/accounts/signup/")
    email = f"new-{UUID(int=id(visit)).hex[-8:]}@example.com"
    page.fill("input[name=email]", email)
    page.fill("input[name=password1]", PASSWORD)
    page.press("input[name=password1]", "Enter")
    page.wait_for_url(re.compile("/c/"))
    world.people.append(User.objects.get(email=email))
    picture(page, "empty")

    send(page, "[[tokens=120 delay=40]] First question")
    expect(page.locator(".answer").first).to_contain_text("w5 ")
    page.wait_for_url(re.compile("/c/[0-9a-f-]{36}$"))
    picture(page, "streaming")
    shown = answers(page)[0]
    page.reload()
    assert answers(page)[0].startswith(shown), "a reload shows everything so far"
    second = visit.tab()
    second.goto(page.url)
    assert answers(second)[0].startswith(shown)
    for tab in (page, second):
        expect(tab.locator("[data-turn]")).to_have_attribute("data-status", "done")
        assert answers(tab) == [words(120)]

    send(second, "[[tokens=3000 delay=20]] Second question")
    expect(page.locator("[data-turn]").nth(1).locator(".answer")).to_contain_text("w5 ")
    page.click("button[name=stop]")
    for tab in (page, second):
        expect(tab.locator("[data-turn]").nth(1)).to_have_attribute("data-status", "stopped")
    assert answers(page) == answers(second)
    picture(page, "stopped")

    page.click("#thread-title")
    page.keyboard.press("Control+A")
    page.keyboard.type("My plans")
    page.keyboard.press("Enter")
    expect(second.locator("#thread-title")).to_have_text("My plans")
    expect(second.locator("nav#threads")).to_contain_text("My plans")

    page.click("button.account")
    page.click("#account-menu button:has-text('Sign out')")
    page.wait_for_url(re.compile("/(accounts/.*)?$"))
    expect(second.locator("#strip")).to_contain_text("signed out")
    assert (visit.complaints, visit.foreign) == ([], [])


def test_hostile_markdown_runs_nothing_and_asks_nobody(world: World, browser: Browser) -> None:
    visit = Visit(browser, world.stack.url)
    user, page = visit.sign_in(world), visit.page
    send(page, HOSTILE)
    expect(page.locator("[data-turn]").first).to_have_attribute("data-status", "done")
    quoted = HOSTILE.replace('"', "'").replace("'", "’")
    send(page, f"""[[text="In a line {quoted}" delay=20]]""", "gpt-5-4-mini")
    expect(page.locator("[data-turn]").nth(1)).to_have_attribute("data-status", "done")
    assert "done" in answers(page)[1]
    title = "<img src=http://evil.example/x onerror=window.ran=1>"
    page.click("#thread-title")
    page.keyboard.press("Control+A")
    page.keyboard.type(title)
    page.keyboard.press("Enter")
    expect(page.locator("nav#threads")).to_contain_text("<img src=http")
    page.reload()
    expect(page.locator("#thread-title")).to_have_text(title)
    picture(page, "hostile")
    assert page.evaluate("window.ran") is None
    assert page.locator("#messages script, #messages svg[onload], #messages iframe[src*=evil], #messages [hx-get]").count() == 0
    assert page.locator(".bubble").first.inner_text() == HOSTILE
    assert visit.foreign == []
    assert user.pk


def test_a_phone_shows_the_conversation_and_the_list_in_a_drawer(world: World, browser: Browser) -> None:
    visit = Visit(browser, world.stack.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visit.sign_in(world)
    page = visit.page
    page.locator("[name=model]").first.select_option("claude-haiku-4-5")
    page.fill("textarea[name=text]", "[[markdown delay=2]] On the way")
    page.click("#composer button.send")
    expect(page.locator("[data-turn]").first).to_have_attribute("data-status", "done")
    expect(page.locator(".katex").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out sideways"
    picture(page, "phone")
    page.click("button.open-drawer")
    expect(page.locator("nav#threads a").first).to_be_visible()
    picture(page, "phone-drawer")
    assert visit.complaints == []


def test_when_the_server_goes_away_the_page_says_so_and_comes_back_whole(world: World, browser: Browser) -> None:
    visit = Visit(browser, world.stack.url)
    visit.sign_in(world)
    page = visit.page
    send(page, "[[tokens=200 delay=40]] Keep going")
    expect(page.locator(".answer").first).to_contain_text("w5 ")
    world.stack.kill("web", signal.SIGKILL)
    try:
        expect(page.locator("#strip")).to_contain_text("Reconnecting")
        picture(page, "reconnecting")
    finally:
        world.stack.start("web")
        world.stack.wait_ready()
    expect(page.locator("#strip")).to_have_text("", timeout=15_000)  # the page tries every five seconds at the latest
    expect(page.locator("[data-turn]")).to_have_attribute("data-status", "done", timeout=30_000)
    assert answers(page) == [words(200)]


def test_two_tabs_that_write_at_once_show_the_same_order(world: World, browser: Browser) -> None:
    visit = Visit(browser, world.stack.url)
    visit.sign_in(world)
    one = visit.page
    send(one, "[[tokens=2]] begin")
    one.wait_for_url(re.compile("/c/[0-9a-f-]{36}$"))
    two = visit.tab()
    two.goto(one.url)
    for number in range(6):
        for name, tab in (("one", one), ("two", two)):
            send(tab, f"[[tokens=2]] {name} {number}")
    orders = []
    for tab in (one, two):
        expect(tab.locator('[data-turn][data-status="done"]')).to_have_count(13, timeout=30_000)
        orders.append([int(turn.get_attribute("data-number") or 0) for turn in tab.locator("[data-turn]").all()])
    assert orders == [list(range(1, 14))] * 2
