"""What a page says it has on screen, over its socket."""

import pytest

from tests.page import Page
from tests.running import World
from tests.stack import until
from threads.models import Thread

CLAUDE = "claude-haiku-4-5"

pytestmark = pytest.mark.django_db(transaction=True)


def answered(page: Page) -> Thread:
    """The thread of the page, with one answer that nobody has read."""
    assert page.send("[[tokens=2]] Hello", CLAUDE, new=True).status == 204
    page.open().until(lambda p: p.over)
    return Thread.objects.get(pk=page.thread_id)


def answered_again(page: Page) -> Thread:
    before = len(page.turns)
    assert page.send("[[tokens=2]] Again", CLAUDE).status == 204
    page.until(lambda p: len(p.turns) > before and p.over)
    return Thread.objects.get(pk=page.thread_id)


def test_what_is_on_screen_is_read_for_good_and_no_more_than_there_is(world: World) -> None:
    page = world.page()
    thread = answered(page)
    assert (thread.last_seq, thread.read_seq, thread.unread) == (2, 0, True)
    page.say(ack=1, read=1)
    until(lambda: Thread.objects.get(pk=thread.pk).read_seq == 1, 5, "half of it is read")
    page.say(ack=1, read=2_000_000_000)
    until(lambda: Thread.objects.get(pk=thread.pk).read_seq == 2, 5, "all of it is read")
    changed = Thread.objects.get(pk=thread.pk).changed_at
    page.say(ack=1, read=1)
    assert answered_again(page).read_seq == 2, "what was read stays read"
    assert Thread.objects.get(pk=thread.pk).changed_at > changed


def test_a_page_marks_no_thread_but_its_own(world: World) -> None:
    owner, stranger = world.person("owner"), world.person("stranger")
    page = world.page(owner)
    thread = answered(page)
    other, theirs = world.page(owner), world.page(stranger)
    for tab in (other, theirs):
        answered(tab)
        tab.say(ack=0, read=2)
        until(lambda tab=tab: Thread.objects.get(pk=tab.thread_id).read_seq == 2, 5, "its own is read")  # type: ignore[misc]
    assert Thread.objects.get(pk=thread.pk).read_seq == 0


@pytest.mark.parametrize("said", [{"ack": 0, "read": "2"}, {"ack": 0, "read": None}, {"read": 2}, {"ack": 0, "thread": "x"}])
def test_nonsense_ends_the_socket(world: World, said: dict[str, object]) -> None:
    page = world.page()
    thread = answered(page)
    page.say(**said)
    assert page.until_closed(5) == 4400
    assert Thread.objects.get(pk=thread.pk).read_seq == 0


@pytest.mark.parametrize("seq", [0, -5, 2**31, 2**80])
def test_a_number_that_no_message_has_changes_nothing(world: World, seq: int) -> None:
    page = world.page()
    thread = answered(page)
    page.say(ack=0, read=seq)
    page.say(ack=0, read=1)
    until(lambda: Thread.objects.get(pk=thread.pk).read_seq == 1, 5, "the socket goes on")
