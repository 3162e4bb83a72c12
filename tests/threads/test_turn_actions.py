"""What stands under a message besides copying and asking again: thumbs, a fork, deleting."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, expect, sync_playwright
from playwright.sync_api import Page as Tab

from accounts.actions import close_account
from accounts.models import User
from chatai.lib import hints
from tests.running import World
from tests.threads.dialogue import answer, ask, begin, path, request_of, say, texts
from threads import actions, attachments, cleaning, compaction, load, removal
from threads.models import Compaction, Message, StoredFile, Thread, Turn
from threads.outline import Kept, told_again
from threads.providers import catalog

ClientOf = Callable[[User], Client]
SCRIPT = {"X-Requested-With": "fetch"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def thread(owner: User, monkeypatch: pytest.MonkeyPatch) -> Thread:
    monkeypatch.setattr(hints, "announce", lambda *_words: None)
    monkeypatch.setattr(load, "_looked_at", 0.0)
    catalog.forget()
    made = actions.create_thread(owner, title="Trip", end_user_id="user_7")
    for number in (1, 2, 3):
        say(owner, made, f"q{number}", f"a{number}")
    return made


def turn_of(thread: Thread, number: int) -> Turn:
    return Turn.objects.get(thread=thread, number=number)


def door(turn: Turn, name: str) -> str:
    return f"/c/turns/{turn.pk}/{name}"


# --- thumbs -----------------------------------------------------------------------------------------------------------------


def test_a_thumb_is_kept_with_the_answer_and_can_be_taken_back(owner: User, thread: Thread, client_of: ClientOf) -> None:
    page, turn = client_of(owner), turn_of(thread, 2)
    assert 'aria-pressed="true"' not in page.get(f"/c/{thread.pk}").content.decode()
    for given, kept in ((1, 1), (-1, -1), (0, None)):
        changed_at = turn.changed_at
        assert page.post(door(turn, "rate"), {"rating": given}, headers=SCRIPT).status_code == 204
        turn.refresh_from_db()
        assert turn.changed_at > changed_at, "other tabs hear of it"
        assert list(Message.objects.filter(turn=turn).order_by("seq").values_list("rating", flat=True)) == [None, kept]
        html = page.get(f"/c/{thread.pk}").content.decode()
        assert html.count('aria-pressed="true"') == bool(kept)
    assert page.post(door(turn, "rate"), {"rating": 1})["Location"] == f"/c/{thread.pk}"
    for nonsense in ({}, {"rating": "5"}, {"rating": "x"}):
        assert page.post(door(turn, "rate"), nonsense, headers=SCRIPT).status_code == 400


def test_what_has_no_answer_yet_cannot_be_rated(owner: User, thread: Thread, client_of: ClientOf) -> None:
    turn = ask(owner, thread, "q4")
    for _ in range(2):
        assert client_of(owner).post(door(turn, "rate"), {"rating": 1}, headers=SCRIPT).status_code == 404
        begin(turn) if turn.status == "queued" else None
        turn.refresh_from_db()


def test_the_admin_shows_what_people_think_of_an_answer(owner: User, thread: Thread, admin_client: Client) -> None:
    turn = turn_of(thread, 2)
    actions.rate(owner, turn.pk, -1)
    rated = Message.objects.get(turn=turn, role="assistant")
    for address in (f"turn/{turn.pk}/change/", f"message/{rated.pk}/change/", f"message/?q={thread.pk}"):
        assert "Thumbs down" in admin_client.get(f"/admin/threads/{address}").content.decode()


# --- forks ------------------------------------------------------------------------------------------------------------------


def test_a_fork_begins_with_a_copy_and_leaves_the_original_alone(owner: User, thread: Thread, client_of: ClientOf) -> None:
    answer(Turn.objects.get(pk=actions.regenerate(owner, turn_of(thread, 2).pk, request_id="again").turn_id), "a2b")
    Compaction.objects.create(thread=thread, through_seq=2, summary="Notes", model="demo")
    Turn.objects.filter(thread=thread).update(cost_micros=7)
    before = path(thread)
    new_id = uuid4()
    made = client_of(owner).post(door(turn_of(thread, 4), "fork"), {"request_id": new_id}, headers=SCRIPT)
    assert (made.status_code, made["Location"]) == (201, f"/c/{new_id}")
    assert path(thread) == before == ["q1", "a1", "q2", "a2b"]
    fork = Thread.objects.for_user(owner).get(pk=new_id)
    assert path(fork) == before
    assert (fork.title, fork.end_user_id, fork.key_id, fork.cost_micros) == ("Trip (fork)", "user_7", thread.key_id, 0)
    assert (fork.turn_count, fork.last_seq, fork.read_seq, fork.active_turn_id) == (2, 4, 4, None)
    turns = list(fork.turns.order_by("number"))
    assert [(turn.number, turn.first_seq, turn.status, turn.cost_micros) for turn in turns] == [(1, 1, "done", 0), (2, 3, "done", 0)]
    assert [turn.parent_id for turn in turns] == [None, turns[0].pk]
    copied = [turn_of(thread, 1), turn_of(thread, 4)]
    assert [turn.copied_from for turn in turns] == [turn.pk for turn in copied]
    assert [turn.changed_at for turn in turns] == [turn.changed_at for turn in copied], "no news, or its page would load again and again"
    summary = compaction.current(fork)
    assert summary is not None
    assert (summary.through_seq, summary.summary) == (2, "Notes")
    html = client_of(owner).get(f"/c/{new_id}").content.decode()
    assert "a2b" in html
    assert '<span class="versions"' not in html
    say(owner, fork, "q5", "a5")
    actions.delete_thread(owner, thread.pk)
    assert path(fork) == [*before, "q5", "a5"]


def test_a_fork_of_a_turn_in_the_middle_ends_there_and_is_made_once(owner: User, thread: Thread, client_of: ClientOf) -> None:
    page, new_id = client_of(owner), uuid4()
    for _ in range(3):
        assert page.post(door(turn_of(thread, 2), "fork"), {"request_id": new_id})["Location"] == f"/c/{new_id}"
    assert path(new_id) == ["q1", "a1", "q2", "a2"]
    assert Thread.objects.for_user(owner).count() == 2
    again = page.post(door(turn_of(thread, 3), "fork"), {"request_id": new_id}, headers=SCRIPT)
    assert (again.status_code, path(new_id)) == (422, ["q1", "a1", "q2", "a2"])
    assert page.post(door(turn_of(thread, 2), "fork"), {"request_id": thread.pk}, headers=SCRIPT).status_code == 422
    assert page.post(door(turn_of(thread, 2), "fork"), {}, headers=SCRIPT).status_code == 400


def test_only_what_is_over_is_forked_and_nothing_of_others(owner: User, stranger: User, thread: Thread, client_of: ClientOf) -> None:
    running = begin(ask(owner, thread, "q4"))
    assert client_of(owner).post(door(running, "fork"), {"request_id": uuid4()}, headers=SCRIPT).status_code == 409
    foreign, theirs = uuid4(), actions.create_thread(stranger)
    assert client_of(stranger).post(door(turn_of(thread, 2), "fork"), {"request_id": foreign}, headers=SCRIPT).status_code == 404
    taken = client_of(owner).post(door(turn_of(thread, 2), "fork"), {"request_id": theirs.pk}, headers=SCRIPT)
    assert taken.status_code == 404, "that id belongs to somebody"
    assert not Thread.objects.filter(pk=foreign).exists()
    assert not Message.objects.filter(thread=theirs).exists()


def test_a_fork_keeps_the_files_of_what_it_copied(owner: User, thread: Thread, client_of: ClientOf) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    later = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}}
    for block in (image, later):
        content = attachments.store_blocks(owner, thread.pk, [{"type": "text", "text": "look"}, block])
        answer(ask(owner, thread, content), [{"type": "tool_use", "id": "t", "name": "n", "input": {"file_id": "no file"}}])
    new_id = uuid4()
    client_of(owner).post(door(turn_of(thread, 4), "fork"), {"request_id": new_id})
    assert [file.media_type for file in StoredFile.objects.filter(threads=new_id)] == ["image/png"]
    Thread.objects.filter(pk=thread.pk).update(deleted_at=timezone.now() - timedelta(minutes=10))
    cleaning.purge_deleted()
    kept = Message.objects.get(thread=new_id, seq=7)
    assert attachments.inline(kept.content)[1] == image
    close_account(owner)


def test_a_copied_answer_is_told_again_as_the_original_was(owner: User, thread: Thread, client_of: ClientOf) -> None:
    new_id = uuid4()
    client_of(owner).post(door(turn_of(thread, 1), "fork"), {"request_id": new_id})
    copies = [turn_of(thread, 1), Turn.objects.get(thread=new_id)]
    original, copy = (told_again(turn, Kept([Message.objects.get(turn=turn, role="assistant")])) for turn in copies)
    assert len(original) == len(copy)
    assert original[1:-1] == copy[1:-1]


# --- deleting ---------------------------------------------------------------------------------------------------------------


def test_a_deleted_turn_is_gone_with_what_followed_and_comes_back_with_undo(owner: User, thread: Thread, client_of: ClientOf) -> None:
    page, second = client_of(owner), turn_of(thread, 2)
    gone = page.post(door(second, "delete"), headers=SCRIPT)
    assert (gone.status_code, door(second, "undo-delete") in gone.content.decode()) == (200, True)
    assert path(thread) == ["q1", "a1"]
    html = page.get(f"/c/{thread.pk}").content.decode()
    assert "q2" not in html
    assert "q3" not in html
    for name in ("switch", "regenerate", "fork"):
        assert page.post(door(second, name), {"request_id": uuid4()}, headers=SCRIPT).status_code in (404, 409)
    assert page.post(door(second, "undo-delete"), headers=SCRIPT).status_code == 204
    assert path(thread) == ["q1", "a1", "q2", "a2", "q3", "a3"]
    page.post(door(second, "delete"))
    say(owner, thread, "q2b", "a2b")
    assert '<span class="versions"' not in page.get(f"/c/{thread.pk}").content.decode(), "what is deleted is no version"
    page.post(door(second, "undo-delete"))
    assert path(thread) == ["q1", "a1", "q2", "a2", "q3", "a3"]
    assert "1/2" in page.get(f"/c/{thread.pk}").content.decode()


def test_where_there_is_another_version_it_is_read_instead(owner: User, thread: Thread, client_of: ClientOf) -> None:
    again = Turn.objects.get(pk=actions.regenerate(owner, turn_of(thread, 2).pk, request_id="again").turn_id)
    answer(again, "a2b")
    client_of(owner).post(door(again, "delete"))
    assert path(thread) == ["q1", "a1", "q2", "a2", "q3", "a3"]
    for number in (1, 2, 3):
        client_of(owner).post(door(turn_of(thread, number), "delete"))
    assert path(thread) == []
    assert client_of(owner).get(f"/c/{thread.pk}").status_code == 200
    assert path(say(owner, thread, "anew", "yes").thread_id) == ["anew", "yes"]


@pytest.mark.django_db(transaction=True)
def test_the_model_is_sent_nothing_of_what_was_deleted(owner: User, thread: Thread) -> None:
    removal.delete_turn(owner, turn_of(thread, 2).pk)
    running = begin(ask(owner, thread, "q4"))
    assert texts(asyncio.run(request_of(running.pk)).messages) == ["q1", "a1", "q4"]


def test_nothing_is_deleted_under_an_answer_that_is_written_nor_by_strangers(
    owner: User, stranger: User, thread: Thread, client_of: ClientOf
) -> None:
    second = turn_of(thread, 2)
    for name in ("rate", "fork", "delete", "undo-delete"):
        fields = {"rating": 1, "request_id": uuid4()}
        assert client_of(stranger).post(door(second, name), fields, headers=SCRIPT).status_code == 404
    begin(ask(owner, thread, "q4"))
    for name in ("delete", "undo-delete"):
        refused = client_of(owner).post(door(second, name), headers=SCRIPT)
        assert (refused.status_code, "Stop it or wait" in refused.content.decode()) == (409, True)
    assert path(thread)[:6] == ["q1", "a1", "q2", "a2", "q3", "a3"]


def test_what_was_deleted_is_erased_when_the_time_for_undo_is_over(owner: User, thread: Thread, client_of: ClientOf) -> None:
    page, second = client_of(owner), turn_of(thread, 2)
    page.post(door(second, "delete"))
    assert cleaning.purge_deleted_turns() == 0
    Turn.objects.filter(pk=second.pk).update(deleted_at=timezone.now() - timedelta(minutes=10))
    assert cleaning.purge_deleted_turns() == 2, "with what followed it"
    assert [turn.number for turn in Turn.objects.filter(thread=thread)] == [1]
    assert Message.objects.filter(thread=thread).count() == 2
    assert page.post(door(second, "undo-delete"), headers=SCRIPT).status_code == 404
    assert turn_of(thread, 1).pk == say(owner, thread, "q2b", "a2b").parent_id
    assert say(owner, thread, "q3", "a3").first_seq == 9


# --- the script -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tab(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tab]:
    """Signed in, with two answered messages."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread; nothing here runs inside it
    page = world.page(world.person())
    for number, text in enumerate(("one [[tokens=2]]", "two [[tokens=2]]"), 1):
        assert page.send(text, "claude-haiku-4-5", new=number == 1).status == 204
        world.settled(page.thread_id)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
        running: Browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        context = running.new_context(base_url=world.stack.url)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": page.browser.session, "url": world.stack.url}])
        context.set_default_timeout(20_000)
        expect.set_options(timeout=20_000)
        tab = context.new_page()
        tab.goto(f"/c/{page.thread_id}")
        yield tab
        running.close()


@pytest.mark.browser
@pytest.mark.slow
def test_the_row_under_an_answer_rates_it_and_its_menu_deletes_and_forks(tab: Tab, world: World) -> None:
    other = tab.context.new_page()
    other.goto(tab.url)
    tab.get_by_label("Good answer").last.focus()
    tab.keyboard.press("Enter")
    pressed = "[aria-pressed=true]"
    for page in (tab, other):
        expect(page.locator(pressed)).to_have_attribute("title", "Good answer")
    assert tab.evaluate("document.activeElement.title") == "Good answer"
    tab.get_by_label("Bad answer").last.click()
    expect(other.locator(pressed)).to_have_attribute("title", "Bad answer")
    tab.locator(pressed).click()
    expect(other.locator(pressed)).to_have_count(0)

    tab.get_by_label("More", exact=True).last.click()
    expect(tab.locator("#turn-menu")).to_contain_text("with all that was read")
    tab.get_by_role("button", name="Delete from here on").click()
    for page in (tab, other):
        expect(page.locator(".turn")).to_have_count(1)
    tab.get_by_role("button", name="Undo").click()
    for page in (tab, other):
        expect(page.locator(".turn")).to_have_count(2)
    expect(tab.locator("#toasts > *")).to_have_count(0)

    source = tab.url
    tab.locator(".turn").first.hover()
    tab.get_by_label("More", exact=True).first.click()
    tab.get_by_role("button", name="Fork into a new chat").click()
    tab.wait_for_url(lambda url: url != source)
    expect(tab.locator(".bubble")).to_have_text(["one [[tokens=2]]"])
    expect(tab.locator("#thread-title")).to_contain_text("(fork)")
    tab.fill("#text", "on from here [[tokens=2]]")
    tab.press("#text", "Enter")
    expect(tab.locator(".turn[data-status=done]")).to_have_count(2)
    expect(other.locator(".turn")).to_have_count(2)
