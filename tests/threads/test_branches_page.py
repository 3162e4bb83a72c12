"""Versions of a turn on the page: the doors, what other tabs see, and the script in a real browser."""

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, expect, sync_playwright
from playwright.sync_api import Page as Tab

from accounts.models import User
from chatai.lib import hints
from tests.dom import parse
from tests.page import Page
from tests.running import World
from tests.threads.dialogue import answer, ask, begin, path, say
from threads import actions, load
from threads.models import Message, Thread, Turn
from threads.providers import catalog

ClientOf = Callable[[User], Client]
SCRIPT = {"X-Requested-With": "fetch"}


# --- the doors --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def thread(owner: User, monkeypatch: pytest.MonkeyPatch) -> Thread:
    monkeypatch.setattr(hints, "announce", lambda *_words: None)
    monkeypatch.setattr(load, "_looked_at", 0.0)
    catalog.forget()
    made = actions.create_thread(owner)
    for number in (1, 2, 3):
        say(owner, made, f"q{number} <b>", f"a{number}")
    return made


def turn_of(thread: Thread, number: int) -> Turn:
    return Turn.objects.get(thread=thread, number=number)


def fields(**more: str) -> dict[str, str]:
    return {"request_id": str(uuid4()), "model": "demo", **more}


def test_a_script_gets_nothing_back_and_a_browser_the_conversation(owner: User, thread: Thread, client_of: ClientOf) -> None:
    page, second = client_of(owner), turn_of(thread, 2)
    edit, regenerate, switch = (f"/c/turns/{second.pk}/{door}" for door in ("edit", "regenerate", "switch"))
    assert page.post(edit, fields(text="q2b"), headers=SCRIPT).status_code == 204
    answer(turn_of(thread, 4))
    assert path(thread)[2] == "q2b"
    assert page.post(switch, headers=SCRIPT).status_code == 204
    assert path(thread)[2:] == ["q2 <b>", "a2", "q3 <b>", "a3"]
    assert page.post(regenerate, fields())["Location"] == f"/c/{thread.pk}"
    answer(turn_of(thread, 5))
    assert page.post(switch)["Location"] == f"/c/{thread.pk}"
    assert page.post(edit, fields(text="q2c\r\nand more"))["Location"] == f"/c/{thread.pk}"
    answer(turn_of(thread, 6))
    assert path(thread)[2] == "q2c\nand more"


@pytest.mark.parametrize("door", ["edit", "regenerate", "switch"])
def test_a_stranger_and_a_visitor_change_nothing(
    door: str, owner: User, stranger: User, thread: Thread, client: Client, client_of: ClientOf
) -> None:
    before = list(Turn.objects.order_by("pk").values("pk", "on_path"))
    address = f"/c/turns/{turn_of(thread, 2).pk}/{door}"
    assert client_of(stranger).post(address, fields(text="mine")).status_code == 404
    refused = client_of(stranger).post(address, fields(text="mine"), headers=SCRIPT)
    assert (refused.status_code, "no such conversation" in refused.content.decode()) == (404, True)
    assert client_of(owner).post(f"/c/turns/{uuid4()}/{door}", fields(text="x")).status_code == 404
    assert client.post(address, fields(text="mine"))["Location"].startswith("/accounts/login/")
    assert client.post(address, fields(text="mine"), headers=SCRIPT).status_code == 401
    assert list(Turn.objects.order_by("pk").values("pk", "on_path")) == before


def test_a_stranger_sees_nothing_of_the_message_on_the_edit_page(owner: User, stranger: User, thread: Thread, client_of: ClientOf) -> None:
    address = f"/c/turns/{turn_of(thread, 2).pk}/edit"
    assert client_of(stranger).get(address).status_code == 404
    page = client_of(owner).get(address).content.decode()
    assert "q2 &lt;b&gt;</textarea>" in page
    assert "q2 <b>" not in page


def test_a_refusal_is_a_sentence_for_the_place_where_it_was_asked(owner: User, thread: Thread, client_of: ClientOf) -> None:
    begin(ask(owner, thread, "q4"))
    page = client_of(owner)
    for door in ("edit", "regenerate", "switch"):
        address = f"/c/turns/{turn_of(thread, 2).pk}/{door}"
        refused = page.post(address, fields(text="no"), headers=SCRIPT)
        assert refused.status_code == 409
        assert refused.content.decode().startswith('<div class="alert')
        assert "Stop it or wait for its end." in refused.content.decode()
        assert "<h1>" in page.post(address, fields(text="no")).content.decode()


def test_a_form_without_a_request_id_is_refused(owner: User, thread: Thread, client_of: ClientOf) -> None:
    for door in ("edit", "regenerate"):
        for given in ({}, {"request_id": "seven"}):
            response = client_of(owner).post(f"/c/turns/{turn_of(thread, 2).pk}/{door}", {"text": "x", **given}, headers=SCRIPT)
            assert response.status_code == 400
    assert Turn.objects.count() == 3


def test_the_page_works_without_its_script(owner: User, thread: Thread, client_of: ClientOf) -> None:
    page = client_of(owner)
    answer(actions.edit(owner, turn_of(thread, 2).pk, content="q2b", request_id="r").turn_id)
    document = parse(page.get(f"/c/{thread.pk}").content.decode())
    form = document.by_id("again")
    assert form is not None
    given = {one["name"]: one["value"] for one in form.all("input")}
    assert {"request_id", "csrfmiddlewaretoken"} <= given.keys()
    previous = next(one for one in document.all("button", form="again") if one.get("data-way") == "previous")
    assert page.post(previous["formaction"], given, follow=True).status_code == 200
    assert path(thread)[2] == "q2 <b>"
    again = next(one for one in document.all("button", form="again") if one["formaction"].endswith("regenerate"))
    page.post(again["formaction"], given)
    assert Turn.objects.get(number=5).parent_id is None, "the first button of the page is of the first turn"


def test_a_queued_message_is_cancelled_without_script(owner: User, thread: Thread, client_of: ClientOf) -> None:
    begin(ask(owner, thread, "q4"))
    waiting = ask(owner, thread, "q5")
    page = client_of(owner)
    assert f'formaction="/c/turns/{waiting.pk}/withdraw"' in page.get(f"/c/{thread.pk}").content.decode()
    assert page.post(f"/c/turns/{waiting.pk}/withdraw")["Location"] == f"/c/{thread.pk}"
    assert not Turn.objects.filter(pk=waiting.pk, on_path=True).exists()


# --- other tabs -------------------------------------------------------------------------------------------------------------


def texts(page: Page) -> list[str]:
    return [text.strip() for _, text in page.transcript]


class Counting:
    """Takes frames in, and notes how many turns there are after each."""

    def __init__(self, page: Page, counts: list[int]) -> None:
        self.page, self.counts, self.take = page, counts, page._take

    def __call__(self, frame: dict[str, Any]) -> None:
        self.take(frame)
        self.counts.append(len(self.page.turns))


def test_other_tabs_follow_and_are_never_empty_in_between(world: World) -> None:
    person = world.person()
    page = world.page(person)
    assert page.send("[[tokens=2]] one", "claude-haiku-4-5", new=True).status == 204
    page.open()
    other = world.page(person, page.thread_id).open()
    page.until(lambda p: p.over)
    first = page.turns[0]["data-turn"]
    counts: list[int] = []
    for tab in (page, other):
        tab._take = Counting(tab, counts)  # type: ignore[method-assign]
    assert page.browser.post(f"/c/turns/{first}/edit", text="[[tokens=3]] two", model="", request_id=str(uuid4())).status == 204
    for tab in (page, other):
        tab.until(lambda p: p.questions == ["[[tokens=3]] two"] and p.over)
        assert tab.answer().strip() == "w0 w1 w2"
        assert "1/2" not in "".join(one.text for one in tab.turns)
        assert "2/2" in "".join(one.text for one in tab.turns)
    assert page.browser.post(f"/c/turns/{first}/switch").status == 204
    for tab in (page, other):
        tab.until(lambda p: texts(p) == ["[[tokens=2]] one", "w0 w1"])
    assert min(counts) == 1, "the new version came with the frame that took the old one away"
    late = world.page(person, page.thread_id).load()
    assert texts(late) == texts(page) == texts(other)


def test_a_tab_that_was_away_while_versions_changed_shows_the_right_one_when_it_is_back(world: World) -> None:
    page = world.page(world.person())
    assert page.send("[[tokens=2]] one", "claude-haiku-4-5", new=True).status == 204
    page.open()
    page.until(lambda p: p.over)
    page.send("[[tokens=2]] two", "claude-haiku-4-5")
    page.until(lambda p: len(p.turns) == 2 and p.over)
    second = page.turns[1]["data-turn"]
    page.close()
    page.browser.post(f"/c/turns/{second}/regenerate", request_id=str(uuid4()))
    world.settled(page.thread_id)
    page.connect()
    page.until(lambda p: len(p.turns) == 2 and p.turns[1]["data-turn"] != second)
    assert "2/2" in page.turns[1].text


def test_pages_load_anew_when_the_path_moved_far(world: World) -> None:
    person = world.person()
    page = world.page(person)
    assert page.send("[[tokens=1]] one", "claude-haiku-4-5", new=True).status == 204
    page.open()
    page.until(lambda p: p.over)
    thread_id = page.thread_id
    assert thread_id is not None
    rest = [Turn(thread_id=thread_id, number=number, request_id=f"r{number}", request_digest=b"", model="demo") for number in range(2, 82)]
    parent = Turn.objects.get(thread_id=thread_id).pk
    for turn in rest:
        turn.status, turn.parent_id, turn.first_seq, parent = "done", parent, turn.number * 2 - 1, turn.pk
        turn.finished_at = turn.created_at
        turn.changed_at = turn.created_at - timedelta(hours=1)  # long ago: only what comes now is news
    Turn.objects.bulk_create(rest)
    Message.objects.create(thread_id=thread_id, turn=rest[0], role="user", seq=3, content=[{"type": "text", "text": "[[tokens=1]]"}])
    Thread.objects.filter(pk=thread_id).update(turn_count=81, last_seq=162)
    page.load()
    page.connect()
    assert page.browser.post(f"/c/turns/{rest[0].pk}/regenerate", model="claude-haiku-4-5", request_id=str(uuid4())).status == 204
    page.until(lambda p: p.reloads)  # twice when the path moves while the socket is opening
    world.settled(thread_id)
    assert len(page.load().turns) == 2
    Thread.objects.filter(pk=thread_id).delete()  # its numbers were made up


# --- the script -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def browser(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread; nothing here runs inside it
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield running
        running.close()


@pytest.fixture
def tab(world: World, browser: Browser) -> Tab:
    """Signed in, on a new chat."""
    context = browser.new_context(base_url=world.stack.url)
    session = world.page(world.person()).browser.session
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": world.stack.url}])
    context.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    tab = context.new_page()
    tab.goto("/c/new")
    tab.select_option("#model", "claude-haiku-4-5")
    return tab


def tell(tab: Tab, text: str) -> None:
    """Send it and wait for its answer."""
    count = tab.locator(".turn[data-status=done]").count()
    tab.fill("#text", text)
    tab.press("#text", "Enter")
    expect(tab.locator(".turn[data-status=done]")).to_have_count(count + 1)


@pytest.mark.browser
@pytest.mark.slow
def test_the_keyboard_edits_the_last_message_and_goes_between_versions(tab: Tab) -> None:
    tell(tab, "one [[tokens=2]]")
    tell(tab, "two [[tokens=2]]")
    tab.press("#text", "ArrowUp")
    editor = tab.locator(".editor textarea")
    expect(editor).to_be_focused()
    expect(editor).to_have_value("two [[tokens=2]]")
    tab.keyboard.press("Escape")
    expect(editor).to_have_count(0)
    expect(tab.locator("#text")).to_be_focused()
    tab.keyboard.press("ArrowUp")
    tab.keyboard.type(", edited")
    tab.keyboard.press("Enter")
    expect(tab.locator(".bubble").last).to_have_text("two [[tokens=2]], edited")
    expect(tab.locator(".versions")).to_contain_text("2/2")
    tab.focus("[data-way=previous]")
    tab.keyboard.press("Enter")
    expect(tab.locator(".bubble").last).to_have_text("two [[tokens=2]]")
    expect(tab.locator("[data-way=next]")).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.locator(".bubble").last).to_have_text("two [[tokens=2]], edited")
    spent = tab.locator("#gauge").get_attribute("data-spent")
    shown = tab.locator("[data-gauge=total]").text_content()
    tab.reload()
    expect(tab.locator("[data-gauge=total]")).to_have_text(shown or "", timeout=5000)
    assert spent is not None


@pytest.mark.browser
@pytest.mark.slow
def test_the_arrow_stays_under_the_pointer(tab: Tab) -> None:
    tell(tab, "one [[tokens=300]]")
    tell(tab, "two [[tokens=30]]")
    for number in range(3):
        tell(tab, f"more {number} [[tokens=300]]")
    tab.locator(".turn").nth(1).locator("[aria-label='Answer again']").click()
    expect(tab.locator(".turn[data-status=done]")).to_have_count(2)
    before = tab.locator("[data-way=previous]").bounding_box()
    tab.click("[data-way=previous]")
    expect(tab.locator(".turn")).to_have_count(5)
    tab.wait_for_timeout(300)
    after = tab.locator("[data-way=next]").bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2


# As a frame that brings the turn again.
DRAWN_ANEW = """
function drawnAnew(turn) {
  const copy = turn.cloneNode(true);
  copy.querySelector(".editor").remove();
  return copy;
} }"""


@pytest.mark.browser
@pytest.mark.slow
def test_text_in_the_editor_outlives_a_refusal_and_another_tab(tab: Tab) -> None:
    tell(tab, "one [[tokens=2]]")
    tell(tab, "two [[tokens=2]]")
    other = tab.context.new_page()
    other.goto(tab.url)
    other.select_option("#model", "claude-haiku-4-5")
    tab.locator(".turn").nth(1).hover()
    tab.locator("[data-do=edit]").nth(1).click()
    tab.keyboard.type(" more")
    tab.keyboard.press("ArrowLeft")
    tab.evaluate("() => { const turn = document.querySelectorAll('.turn')[1]; turn.replaceWith(drawnAnew(turn)); " + DRAWN_ANEW)
    tab.keyboard.type("x")
    expect(tab.locator(".editor textarea")).to_have_value("two [[tokens=2]] morxe")
    tab.keyboard.press("Backspace")
    other.fill("#text", "three [[tokens=4000 delay=20]]")
    other.press("#text", "Enter")
    expect(tab.locator(".turn[data-status=running]")).to_have_count(1)
    tab.keyboard.press("Enter")
    expect(tab.locator(".editor .alert")).to_contain_text("An answer is being written")
    expect(tab.locator(".editor textarea")).to_have_value("two [[tokens=2]] more")
    other.click("button[name=stop]")
    expect(tab.locator(".turn[data-status=stopped]")).to_have_count(1)
    other.locator(".turn").first.hover()
    other.locator("[aria-label='Answer again']").first.click()
    expect(tab.locator(".turn")).to_have_count(1)
    expect(tab.locator("#text")).to_have_value("two [[tokens=2]] more")


@pytest.mark.browser
@pytest.mark.slow
def test_another_model_answers_and_a_queued_message_goes_back_or_goes_first(tab: Tab) -> None:
    tell(tab, "one [[tokens=2]]")
    tab.click("[data-do=aim-again]")
    tab.locator("#again-menu button", has_text="GPT-5.4 mini").click()
    expect(tab.locator(".facts").last).to_contain_text("GPT-5.4 mini")
    expect(tab.locator(".versions")).to_contain_text("2/2")
    tab.fill("#text", "long [[tokens=4000 delay=20]]")
    tab.press("#text", "Enter")
    expect(tab.locator(".turn[data-status=running]")).to_have_count(1)
    for text in ("next [[tokens=2]]", "after that [[tokens=2]]"):
        tab.fill("#text", text)
        tab.press("#text", "Enter")
    expect(tab.locator(".turn[data-status=queued]:not([data-turn=''])")).to_have_count(2)
    tab.locator("[data-do=withdraw]").last.click()
    expect(tab.locator("#text")).to_have_value("after that [[tokens=2]]")
    expect(tab.locator(".stop-now:visible")).to_have_count(1)
    tab.locator(".stop-now:visible").click()
    expect(tab.locator(".turn[data-status=stopped]")).to_have_count(1)
    expect(tab.locator(".turn").last.locator(".answer")).to_have_text("w0 w1")
