"""Finding a message again, in a real browser against the running product, with the real model."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from accounts.models import User
from search import choice, embedding, generations, vectors
from tests.running import World
from tests.search.talk import conversation, indexed, say
from tests.stack import ARTIFACTS, Stack, until
from threads.models import Thread, Turn

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SCREENS = ARTIFACTS / "screens"
# What is said, and what it is found with: no word in common.
SOURDOUGH = "My sourdough starter smells like acetone and has grey liquid on top."
KNEE = "My left knee hurts when I walk downstairs, right under the kneecap."
NGINX = "nginx gives 502 Bad Gateway after exactly 60 seconds of an upload."
ASKED = "bread culture stinks of nail polish remover"
LINKED = ".message:is(:target, .linked)"  # drawn anew it is no longer the browser's target


@pytest.fixture
def browser(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread; nothing here runs inside it
    SCREENS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def owner(world: World) -> User:
    return world.person("owner")


@pytest.fixture(scope="module")
def embedder(stack: Stack) -> Iterator[Stack]:
    """A stack in which somebody embeds, from when it is started; to load the model takes eight seconds of processor."""
    yield stack
    if stack.runs("embed"):
        stack.kill("embed")


@pytest.fixture
def meaning(world: World, embedder: Stack, owner: User) -> None:
    """Somebody embeds; what will be asked was asked before, as a busy machine takes longer than a person is kept waiting."""
    generations.ensure()
    embedder.start("embed")
    until(lambda: vectors.somebody_embeds(generations.models()), 90, "the model is loaded")
    until(lambda: vectors.of_query(owner, choice.configured(), ASKED), 30, "the query's vector is remembered")


def embedded() -> None:
    """All that was said, by words and by meaning; asked for as the worker does every few seconds."""
    indexed()
    with closing(Celery(broker=settings.REDIS_URL)) as worker:
        worker.send_task("search.embed_due", queue="embed")
        until(lambda: not embedding.is_due(), 60, "all is embedded")


def tab(world: World, browser: Browser, user: User, **options: object) -> Page:
    context = browser.new_context(base_url=world.stack.url, **options)  # type: ignore[arg-type]
    session = world.page(user).browser.session
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": world.stack.url}])
    context.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    page = context.new_page()
    complaints: list[str] = []
    page.complaints = complaints  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Security Policy" in said.text else None)
    return page


def picture(page: Page, name: str) -> Path:
    path = SCREENS / f"{name}.png"
    page.screenshot(path=path)
    return path


def ask(page: Page, text: str) -> None:
    page.goto("/c/new")
    page.select_option("#model", "claude-haiku-4-5")
    page.fill("#text", f"{text} [[tokens=20]]")
    page.press("#text", "Enter")
    expect(page.locator(".turn[data-status=done]")).to_have_count(1)


def in_view(found: Locator) -> bool:
    inside = "one => { const r = one.getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight }"
    return bool(found.evaluate(inside))


def test_a_question_in_other_words_finds_the_message(world: World, browser: Browser, owner: User, meaning: None) -> None:
    page = tab(world, browser, owner, viewport={"width": 1280, "height": 800})
    for text in (SOURDOUGH, KNEE, NGINX):
        ask(page, text)
    embedded()
    page.keyboard.press("Control+k")
    field = page.locator("#palette input")
    expect(field).to_be_focused()
    picture(page, "palette-empty")
    field.press_sequentially("502 bad gate")
    expect(page.locator("[data-part=words] [data-message]").first).to_contain_text("nginx")
    expect(page.locator("[data-part=words] mark").first).to_be_visible()
    picture(page, "palette-words")
    field.fill(ASKED)
    meant = page.locator("[data-part=meaning] [data-message]").first
    expect(meant).to_contain_text("sourdough")
    picture(page, "palette-meaning")
    for _ in range(12):
        page.keyboard.press("ArrowDown")
        if page.locator("[data-message][aria-selected]:has-text('sourdough')").count():
            break
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/c/[0-9a-f-]{36}\?at=1#m-"))
    found = page.locator(LINKED)
    expect(found).to_contain_text("sourdough")
    assert in_view(found)
    picture(page, "found")
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    assert page.complaints == []  # type: ignore[attr-defined]


def test_the_search_page_works_without_script(world: World, browser: Browser, owner: User, meaning: None) -> None:
    for text, title in ((SOURDOUGH, "Bread"), (KNEE, "Sport"), (NGINX, "Server")):
        conversation(owner, (text, "I see."), title=title)
    embedded()
    for width, scheme in ((1280, "light"), (390, "dark")):
        page = tab(world, browser, owner, java_script_enabled=False, color_scheme=scheme, viewport={"width": width, "height": 844})
        page.goto("/c/new")
        if width > 768:
            page.click("#sidebar a:has-text('Search')")
        else:
            page.goto("/search")
        page.fill("[name=q]", ASKED)
        page.click("main button:has-text('Search')")
        first = page.locator(".hits a").first
        expect(first).to_contain_text("sourdough")
        picture(page, f"search-{scheme}-{width}")
        page.click("summary:has-text('Filters')")
        page.select_option("[name=role]", "assistant")
        page.press("[name=q]", "Enter")
        expect(page.locator("main")).not_to_contain_text("sourdough")
        picture(page, f"search-filtered-{scheme}-{width}")
        page.go_back()
        page.locator(".hits a").first.click()
        expect(page.locator(".message:target")).to_contain_text("sourdough")


def test_a_hit_far_back_in_a_long_conversation_opens_there(world: World, browser: Browser, owner: User) -> None:
    thread = Thread.objects.create(user=owner, title="Long")
    long_ago = timezone.now() - timedelta(days=40)
    parent = None
    for number in range(1, 301):
        parent = say(thread, f"Question {number} of many", f"Answer {number}. " * 30, at=long_ago, parent=parent)
    indexed()
    page = tab(world, browser, owner, viewport={"width": 1280, "height": 800})
    for q, live in (('"question 77 of many"', False), ('"question 297 of many"', True)):
        page.goto("/c/new")
        page.keyboard.press("Control+k")
        page.keyboard.type(q)
        page.locator("[data-part=words] [data-message]").first.click()
        found = page.locator(LINKED)
        expect(found).to_contain_text(q.strip('"').capitalize())
        page.wait_for_timeout(500)
        assert in_view(found), "and it stays there"
        assert page.locator("#composer").count() == live
        picture(page, f"found-{'near' if live else 'far'}")
    found.evaluate("one => { one.dataset.before = true }")
    Turn.objects.filter(thread=thread, number=297).update(changed_at=timezone.now())
    expect(page.locator("[data-before]")).to_have_count(0)
    expect(found).to_contain_text("Question 297 of many")
    assert in_view(found), "drawn anew"


def test_while_nobody_embeds_words_answer_and_the_palette_says_so(world: World, embedder: Stack, browser: Browser, owner: User) -> None:
    if embedder.runs("embed"):
        embedder.kill("embed")
    until(lambda: not vectors.somebody_embeds(generations.models()), 60, "nobody is known to embed")
    conversation(owner, (NGINX, "I see."), title="Server")
    indexed()
    page = tab(world, browser, owner, viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True, is_mobile=True)
    page.goto("/c/new")
    page.click("button.open-drawer")
    page.click("#sidebar a:has-text('Search')")
    page.fill("#palette input", "gateway")
    expect(page.locator("[data-part=words] [data-message]")).to_have_count(1)
    expect(page.locator("[data-part=meaning]")).to_contain_text("off for now")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out sideways"
    picture(page, "palette-phone")
    page.press("#palette input", "Enter")
    page.wait_for_url(re.compile(r"/search\?q=gateway"))
    expect(page.locator(".alert")).to_contain_text("meaning is off")
    assert page.complaints == []  # type: ignore[attr-defined]
