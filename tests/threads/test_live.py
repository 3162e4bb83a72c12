"""What a page shows while an answer grows, over the real socket."""

import base64
import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import pairwise
from urllib.parse import urlsplit

import psutil
import pytest
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from accounts.models import User
from bench.script import MARKDOWN
from chatai.lib.ids import uuid7
from tests.page import Page
from tests.running import World, words
from tests.stack import until
from threads import actions
from threads.live.watcher import WINDOW
from threads.models import Thread

CLAUDE, GPT = "claude-haiku-4-5", "gpt-5-4-mini"


def asked(page: Page, script: str, model: str = CLAUDE) -> Page:
    """The page after a send into a thread that may be new."""
    assert page.send(script, model, new=True).status == 204
    return page.open()


def same_thread(world: World, page: Page) -> Page:
    """Another tab of the same person."""
    tab = world.page(world.people[0], page.thread_id)
    tab.browser.session = page.browser.session
    return tab


# --- streaming ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [CLAUDE, GPT, "demo"])
@pytest.mark.parametrize("script", ["[[markdown reasoning=8 delay=2]]", "[[markdown delay=1 split=random]]"])
def test_what_the_frames_leave_on_the_page_is_what_a_fresh_load_shows(world: World, model: str, script: str) -> None:
    page = asked(world.page(), script, model)
    page.until(lambda p: p.over, 30)
    fresh = same_thread(world, page).load()
    assert page.transcript == fresh.transcript
    assert page.missing == [], "every frame found its place"
    if model != "demo":
        assert "Hello, {name}!" in page.answer()
        assert page.turns[0].one("pre").text.strip() == MARKDOWN.split("```")[1].removeprefix("python").strip()


def test_text_only_grows_while_it_streams(world: World) -> None:
    page = world.page()
    assert page.send("[[markdown reasoning=10 delay=15]]", CLAUDE, new=True).status == 204
    page.load().connect()
    seen: list[str] = []
    page.until(lambda p: seen.append(p.answer()) or p.over)  # type: ignore[func-returns-value]
    steps = [text for before, text in pairwise(["", *seen]) if text != before]
    assert len(steps) > 5
    plain = ["".join(character for character in text if character.isalnum()) for text in steps]
    # Marks of Markdown come and go with what they mean, words do not; the thoughts fold away before the answer, so they stay too.
    shrunk = [(before, after) for before, after in pairwise(plain) if len(after) < len(before) - 12]
    assert not shrunk


def test_a_page_opened_in_the_middle_shows_everything_so_far_and_goes_on(world: World) -> None:
    first = asked(world.page(), "[[tokens=120 delay=15]]")
    first.until(lambda p: "w30 " in p.answer())
    shown = first.answer()
    second = same_thread(world, first).load()
    assert second.answer().startswith(shown), "the page itself has it, before any socket"
    third = same_thread(world, first)
    third.document, third.since = first.document.__class__("#root"), 0
    third.load()
    next(one for one in third.turns[0].all("div") if "answer" in one.classes).children.clear()  # the first frame is the whole state
    third.connect()
    until(lambda: third.frames, 5, "the first frame")
    assert third.answer().startswith(shown)
    for page in (first, second.connect(), third):
        page.until(lambda p: p.over)
        assert page.answer() == words(120)


def test_a_socket_that_comes_back_later_brings_what_was_missed(world: World) -> None:
    page = asked(world.page(), "[[tokens=100 delay=10]]")
    page.until(lambda p: "w10 " in p.answer())
    page.close()
    world.settled(page.thread_id)
    assert page.send("[[tokens=5]] another", GPT).status == 204
    world.settled(page.thread_id)
    assert page.statuses == ["running"]
    page.connect().until(lambda p: len(p.turns) == 2 and p.over)
    assert page.transcript == same_thread(world, page).load().transcript
    assert page.answer(0) == words(100)


def test_a_page_that_comes_and_goes_all_the_time_misses_nothing(world: World) -> None:
    page, dice = asked(world.page(), "[[tokens=150 delay=15]]"), random.Random(3)
    while not page.over:
        time.sleep(dice.random() * 0.3)
        page.reconnect()
    assert page.answer() == words(150)


def test_two_tabs_read_the_same_at_the_end_whoever_sent(world: World) -> None:
    one = asked(world.page(), "[[tokens=20 delay=5]] a")
    two = same_thread(world, one).open()
    two.send("[[tokens=20 delay=5]] b", GPT, draw=True)
    one.send("[[tokens=20 delay=5]] c", CLAUDE, draw=True)
    for page in (one, two):
        page.until(lambda p: len(p.turns) == 3 and p.over)
    assert one.transcript == two.transcript == same_thread(world, one).load().transcript
    assert one.numbers == two.numbers == [1, 2, 3]


# --- slow and dead readers ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_page_that_never_acknowledges_is_sent_no_more_than_the_window(world: World) -> None:
    page = asked(world.page(), "[[tokens=6000 delay=0.5]]")
    page.until(lambda p: p.over, 40)
    deaf = world.page(world.people[0], page.thread_id, acknowledges=False)
    deaf.load().connect()
    assert deaf.send("[[tokens=20000 delay=0.5]]", CLAUDE).status == 204
    page.until(lambda p: len(p.turns) == 2 and p.over, 60)
    sent = [len(str(frame.get("content", ""))) for _, frame in deaf.frames]
    assert sum(sent) - max(sent) < WINDOW
    assert deaf.close_code is None
    # As soon as it catches up it gets the newest state, not what it missed one by one.
    assert deaf.socket
    deaf.acknowledges = True
    deaf.socket.send('{"ack": 1000000}')
    deaf.until(lambda p: p.over)
    assert deaf.answer() == words(20000)
    assert len(deaf.frames) < len(page.frames) / 2


@contextmanager
def dead_socket(page: Page) -> Iterator[socket.socket]:
    """A websocket that did its handshake and reads nothing ever after."""
    address = urlsplit(page.browser.url)
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect((address.hostname, address.port))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET /ws/c/{page.thread_id}/?since=0 HTTP/1.1",
            f"Host: {address.netloc}",
            f"Origin: {page.browser.url}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            f"Cookie: {page.browser.cookies}",
        )
        raw.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert b" 101 " in raw.recv(64)
        yield raw


@pytest.mark.slow
def test_fifty_sockets_that_never_read_cost_little_and_delay_nobody(world: World) -> None:
    page = asked(world.page(), "[[tokens=200 delay=5]]")
    page.until(lambda p: p.over)
    web = psutil.Process(world.stack.processes["web"].pid)
    assert page.send("[[tokens=800 delay=10]] alone", CLAUDE).status == 204
    page.until(lambda p: len(p.turns) == 2 and p.over, 40)
    alone, before = longest_pause(page), web.memory_info().rss
    with ExitStack() as sockets:
        for _ in range(50):
            sockets.enter_context(dead_socket(page))
        page.frames.clear()
        assert page.send("[[tokens=8000 delay=1]] among the dead", CLAUDE).status == 204
        page.until(lambda p: len(p.turns) == 3 and p.over, 60)
        grown = (web.memory_info().rss - before) / 1e6
    among = longest_pause(page)
    print(f"50 sockets that never read: {grown:.1f} MB; longest pause of a reader {among * 1000:.0f} ms, alone {alone * 1000:.0f} ms")
    assert page.answer() == words(8000)
    assert grown < 50
    assert among < max(1.0, 4 * alone)


def longest_pause(page: Page) -> float:
    return max(after - before for (before, _), (after, _) in pairwise(page.frames))


# --- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame", ["", "hello", "{}", '{"ack": "1"}', '{"ack": 1.5}', '{"ack": 1, "x": 2}', "[1]", "{" * 5000, b"\x00\xff", '{"ack": 1e400}']
)
def test_a_frame_that_is_no_acknowledgement_closes_the_socket(world: World, frame: str | bytes) -> None:
    page = asked(world.page(), "[[tokens=2]]")
    assert page.socket
    page.socket.send(frame)
    assert page.until_closed(5) == 4400
    assert page.connect().until(lambda p: p.over)
    assert b"Traceback" not in world.stack.log("web")


@pytest.mark.parametrize("path", ["thread", "list"])
def test_a_socket_without_a_session_is_closed_as_signed_out(world: World, path: str) -> None:
    page = asked(world.page(), "[[tokens=2]]")
    page.socket_path = page.socket_path if path == "thread" else "/ws/"
    assert page.connect(Cookie="").until_closed(5) == 4401
    assert page.connect(Cookie="sessionid=forged").until_closed(5) == 4401


@pytest.mark.parametrize("origin", ["", "https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "http://localhost"])
def test_a_socket_from_another_origin_is_refused_in_the_handshake(world: World, origin: str) -> None:
    page = asked(world.page(), "[[tokens=2]]")
    with pytest.raises(InvalidStatus) as refused:
        page.connect(Origin=origin)
    assert refused.value.response.status_code == 403


def test_a_strangers_thread_and_a_missing_one_close_alike(world: World) -> None:
    page = asked(world.page(), "[[tokens=2]]")
    stranger = world.person("stranger")
    for thread_id in (page.thread_id, uuid7()):
        tab = world.page(stranger, thread_id).connect()
        assert tab.until_closed(5) == 4404
        assert tab.frames == []


def test_an_address_that_is_none_is_refused_without_a_traceback(world: World) -> None:
    page = asked(world.page(), "[[tokens=2]]")
    page.until(lambda p: p.over)
    page.close()
    for bad in ("not-a-uuid", "../../admin"):
        page.socket_path = f"/ws/c/{bad}/"
        with pytest.raises(InvalidStatus) as refused:
            page.connect()
        assert refused.value.response.status_code == 403
    assert b"Traceback" not in world.stack.log("web")


@pytest.mark.parametrize("since", ["", "abc", "-5", "99999999999999999", "253402300799999", "0", "١٢٣"])
def test_a_forged_time_is_no_trouble(world: World, since: str) -> None:
    page = asked(world.page(), "[[tokens=60 delay=20]]")
    page.since = since  # type: ignore[assignment]
    page.connect().until(lambda p: p.over)
    assert page.answer() == words(60)


# --- who leaves -----------------------------------------------------------------------------------------------------------


def test_signing_out_closes_every_socket_of_that_session_and_of_no_other(world: World) -> None:
    user = world.person()
    page = world.page(user)
    asked(page, "[[tokens=2]]")
    elsewhere = world.page(user, page.thread_id).open()
    shared = world.page(user, page.thread_id)
    shared.browser.session = page.browser.session
    shared.open()
    assert page.browser.post("/accounts/logout/").status == 302
    assert page.until_closed(5) == shared.until_closed(5) == 4401
    assert elsewhere.close_code is None
    assert elsewhere.send("[[tokens=3]]", CLAUDE).status == 204
    elsewhere.until(lambda p: len(p.turns) == 2 and p.over)


def test_deactivating_an_account_closes_its_sockets(world: World) -> None:
    person = world.person()
    page = world.page(person)
    page.browser.session = ""
    assert page.browser.sign_in(person).status == 302
    asked(page, "[[tokens=2]]").until(lambda p: p.over)
    user = User.objects.get(pk=person.pk)
    user.is_active = False
    user.save()
    assert page.until_closed(40) in (4012, 4401), "at once, or when it looks by itself"
    assert page.connect().until_closed(5) == 4401


# --- the list of chats ----------------------------------------------------------------------------------------------------


def test_the_list_is_in_step_in_every_tab(world: World) -> None:
    user = world.person()
    watcher = world.page(user)
    watcher.socket_path = "/ws/"
    watcher.connect()
    page = asked(world.page(user), "[[tokens=40 delay=20]] Hello there")
    link = f"thread-{page.thread_id}"

    def row() -> str:
        found = watcher.document.by_id(link)
        return f"{sorted(found.attributes)} {found.text}" if found else ""

    watcher.until(lambda _: "data-running" in row() and "Hello there" in row())
    page.until(lambda p: p.over)
    watcher.until(lambda _: "data-unread" in row())
    page.say(ack=0, read=2)
    watcher.until(lambda _: row() and "data-unread" not in row())
    page.browser.post(f"/c/{page.thread_id}/rename", title="<b>Mine</b>")
    watcher.until(lambda _: "<b>Mine</b>" in row())
    page.until(lambda p: (title := p.document.by_id("thread-title")) and title.text.strip() == "<b>Mine</b>")
    page.browser.post(f"/c/{page.thread_id}/pin", on="1")
    watcher.until(lambda w: (pinned := w.document.by_id("threads-pinned")) and pinned.by_id(link))
    page.browser.post(f"/c/{page.thread_id}/delete")
    watcher.until(lambda _: not row())


def test_a_stranger_is_told_nothing(world: World) -> None:
    stranger = world.page(world.person("stranger"))
    stranger.socket_path = "/ws/"
    stranger.connect()
    page = asked(world.page(), "[[tokens=20 delay=5]]")
    page.until(lambda p: p.over)
    page.browser.post(f"/c/{page.thread_id}/rename", title="Secret")
    own = world.page(world.people[0])
    asked(own, "[[tokens=2]] mine").until(lambda p: p.over)
    stranger.until(lambda s: s.document.by_id(f"thread-{own.thread_id}"))
    assert not any(str(page.thread_id) in str(frame) for _, frame in stranger.frames)


def away(world: World, user: User) -> Page:
    """A page whose person got more than a hundred conversations since it was drawn."""
    page = asked(world.page(user), "[[tokens=2]]")
    page.until(lambda p: p.over)
    page.close()
    for _ in range(101):
        actions.create_thread(user)
    return page


def test_a_page_that_missed_too_much_is_told_to_load_anew(world: World) -> None:
    user = world.person()
    page = away(world, user)
    assert Thread.objects.for_user(user).count() == 102
    page.connect().until(lambda p: p.reloads == 1)


def test_a_page_that_was_drawn_after_all_of_that_is_not_told_again_and_again(world: World) -> None:
    user = world.person()
    page = away(world, user)
    Thread.objects.for_user(user).update(changed_at=timezone.now() - timedelta(seconds=4))
    page.open()
    assert page.send("[[tokens=2]] more", CLAUDE).status == 204
    page.until(lambda p: p.over and len(p.turns) == 2)
    assert page.reloads == 0
