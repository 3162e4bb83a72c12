"""The generating process, end to end: a scripted provider on the wire, the real process, the page, the rows."""

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from chatai.lib import hints
from tests.page import Page
from tests.running import World, put_to_sleep, words
from tests.stack import until
from threads import actions
from threads.blocks import text_of
from threads.models import CatalogModel, Thread, Turn

CLAUDE, GPT = "claude-haiku-4-5", "gpt-5-4-mini"


def asked(page: Page, script: str, model: str = CLAUDE) -> Page:
    """The page after a send into a thread that may be new."""
    assert page.send(script, model, new=True).status == 204
    return page.open()


def the_turn(page: Page) -> Turn:
    return Turn.objects.get(thread_id=page.thread_id)


def text_in_history(world: World, thread_id: UUID, which: int = -1) -> str:
    return " ".join(text_of(world.history(thread_id)[which].content).split())


@pytest.mark.parametrize("model", [CLAUDE, GPT])
def test_an_answer_is_streamed_stored_counted_and_priced(world: World, model: str) -> None:
    page = asked(world.page(), "[[tokens=30 delay=4 cached=8]]", model)
    page.until(lambda p: p.over)
    turn = the_turn(page)
    assert (turn.status, turn.attempts, turn.epoch, turn.lease_until) == ("done", 1, 1, None)
    assert page.answer() == text_in_history(world, page.thread_id) == words(30)
    assert turn.usage["output_tokens"] == 30
    assert turn.usage["cache_read_input_tokens"] == 8
    assert turn.cost_micros > 0
    assert turn.created_at <= turn.started_at <= turn.first_token_at <= turn.finished_at  # type: ignore[operator]
    question, answer = world.history(turn.thread_id)
    assert (question.seq, answer.seq, answer.status, answer.stop_reason) == (1, 2, "complete", "end_turn")
    assert (answer.usage, answer.cost_micros) == (turn.usage, turn.cost_micros)


@pytest.mark.parametrize("model", [CLAUDE, GPT])
def test_reasoning_is_kept_apart_from_the_answer(world: World, model: str) -> None:
    page = asked(world.page(), "[[tokens=10 reasoning=6 delay=2]]", model)
    page.until(lambda p: p.over)
    thinking, text = world.history(the_turn(page).thread_id)[1].content
    assert thinking["thinking"].split() == [f"t{n}" for n in range(6)]
    assert text["text"].split() == words(10).split()


@pytest.mark.parametrize("split", ["byte", "random"])
@pytest.mark.parametrize("model", [CLAUDE, GPT])
def test_bytes_may_be_cut_anywhere(world: World, model: str, split: str) -> None:
    page = asked(world.page(), f'[[text="née 🙂 漢字 done" split={split} ping=2 crlf]]', model)
    page.until(lambda p: p.over)
    assert page.answer() == text_in_history(world, page.thread_id) == "née 🙂 漢字 done"


@pytest.mark.parametrize(
    ("script", "kind", "word"),
    [
        ("status=401", "authentication", "operator"),
        ("status=404 error=not_found_error", "not_found", "Choose another"),
        ("status=400 error=invalid_request_error message='prompt is too long: 999 tokens'", "too_long", "new chat"),
        ("status=529 retry_after=60", "overloaded", "Try again"),
        ("error_in_200 error=overloaded_error", "overloaded", "Try again"),
        ("hang=first", "timeout", "in time"),
        ("cut=0", "cut", "broke off"),
        ("malformed=0", "malformed", "Try again"),
    ],
)
def test_a_failure_before_the_first_word_is_a_sentence_on_the_page(world: World, script: str, kind: str, word: str) -> None:
    page = asked(world.page(), f"[[{script}]] scripted")
    page.until(lambda p: p.over, 30)
    turn = the_turn(page)
    assert (turn.status, turn.error_kind, turn.cost_micros) == ("failed", kind, 0)
    assert word in turn.error_message
    assert "scripted failure" not in page.turns[0].text, "the provider's own words are not for people"
    assert turn.error_message in page.turns[0].text
    assert [button for button in page.turns[0].all("button") if "Try again" in button.text]
    assert world.history(turn.thread_id)[1].status == "failed"


def test_a_failure_that_passes_is_tried_again_before_anything_was_shown(world: World) -> None:
    page = asked(world.page(), "[[tokens=5 status=529 times=2]] a passing failure")
    page.until(lambda p: p.over, 30)
    assert (the_turn(page).status, page.answer()) == ("done", words(5))


@pytest.mark.parametrize(("model", "script"), [(CLAUDE, "cut=12"), (GPT, "cut=12"), (CLAUDE, "hang=mid after=12"), (GPT, "malformed=12")])
def test_an_answer_that_breaks_off_keeps_its_text_and_offers_to_continue(world: World, model: str, script: str) -> None:
    page = asked(world.page(), f"[[tokens=40 delay=5 {script}]]", model)
    page.until(lambda p: p.over, 30)
    turn = the_turn(page)
    assert turn.status == "interrupted"
    assert page.answer() == text_in_history(world, page.thread_id) == words(12)
    assert page.turns[0].all("button", data_do="continue")
    assert turn.usage["estimated"]
    assert turn.cost_micros > 0, "what was received is paid for"


def test_stop_ends_the_answer_within_a_second_and_keeps_what_was_there(world: World) -> None:
    page = asked(world.page(), "[[tokens=2000 delay=10]]")
    page.until(lambda p: "w20 " in p.answer())
    closed = world.stack.provider_stats()["closed_by_client"]
    started = time.monotonic()
    assert page.stop().status == 204
    page.until(lambda p: p.over)
    assert time.monotonic() - started < 1.0
    turn = the_turn(page)
    kept = text_in_history(world, page.thread_id)
    assert (turn.status, page.answer()) == ("stopped", kept)
    assert kept == words(len(kept.split()))
    assert turn.cost_micros > 0
    until(lambda: world.stack.provider_stats()["closed_by_client"] > closed, 2, "the provider's connection is closed")


def test_stop_works_without_a_hint(world: World) -> None:
    page = asked(world.page(), "[[tokens=2000 delay=10]]")
    page.until(lambda p: "w5 " in p.answer())
    started = time.monotonic()
    Turn.objects.filter(thread_id=page.thread_id).update(stop_requested_at=timezone.now())
    world.settled(the_turn(page).thread_id, seconds=5)
    assert time.monotonic() - started < 1.5
    assert the_turn(page).status == "stopped"


def test_stop_before_the_first_word_leaves_an_empty_answer(world: World) -> None:
    page = asked(world.page(), "[[hang=first]]")
    page.until(lambda p: p.statuses == ["running"])
    page.stop()
    page.until(lambda p: p.over)
    assert (the_turn(page).status, text_in_history(world, page.thread_id)) == ("stopped", "")
    assert page.send("[[tokens=3 hang=]] next", CLAUDE).status == 204
    page.until(lambda p: len(p.turns) == 2 and p.over)
    assert page.answer() == words(3)


def test_stop_at_any_moment_ends_the_turn_at_once(world: World) -> None:
    """Also before it was begun, and in the instant in which the answer is being finished."""
    user, dice = world.person(), random.Random(5)
    pages = [world.page(user) for _ in range(32)]

    def ask_and_stop(page: Page) -> None:
        assert page.send("[[tokens=10 delay=20]]", CLAUDE, new=True).status == 204
        time.sleep(dice.choice((0, 0.2)) + dice.random() * 0.15)
        assert page.stop().status == 204

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask_and_stop, pages))
    turns = world.settled(*(page.thread_id for page in pages), seconds=2.5)
    assert {turn.status for turn in turns} <= {"done", "stopped"}
    assert all(turn.attempts <= 1 for turn in turns)


def test_stop_before_anybody_has_begun_ends_the_turn_on_every_page(world: World) -> None:
    page = world.page()
    put_to_sleep(world.stack)
    try:
        assert page.send("never mind", CLAUDE, new=True).status == 204
        page.open()
        page.until(lambda p: p.statuses == ["queued"])
        assert page.stop().status == 204
        page.until(lambda p: p.statuses == ["stopped"] and "You stopped this answer." in p.turns[0].text)
        assert "never mind" in page.turns[0].text
    finally:
        world.stack.tell("replies", signal.SIGCONT)
    assert page.send("[[tokens=3]] next", CLAUDE).status == 204
    page.until(lambda p: len(p.turns) == 2 and p.over)
    assert page.answer() == words(3)


def test_stop_while_the_answer_is_being_finished_leaves_no_turn_hanging(world: World) -> None:
    page = asked(world.page(), "[[tokens=12 delay=20]]")
    page.until(lambda p: "w3" in p.answer())
    turn = the_turn(page)
    with transaction.atomic():
        Turn.objects.select_for_update().get(pk=turn.pk)
        # Its process can neither write nor finish now; the provider is through long before this wait is over.
        time.sleep(0.6)
        hints.announce("replies", "stop", turn.pk)
        time.sleep(0.3)
    world.settled(turn.thread_id, seconds=1.5)
    turn.refresh_from_db()
    assert (turn.attempts, turn.status in ("done", "stopped")) == (1, True)


def test_messages_sent_while_an_answer_runs_are_answered_in_their_order(world: World) -> None:
    page = asked(world.page(), "[[tokens=150 delay=20]] one")
    for name in ("two", "three"):
        assert page.send(f"[[tokens=3]] {name}", GPT).status == 204
    page.until(lambda p: p.statuses == ["running", "queued", "queued"])
    page.until(lambda p: len(p.turns) == 3 and p.over)
    assert [role for role, _ in page.transcript] == ["user", "assistant"] * 3
    assert [text.rsplit(" ", 1)[-1] for text in page.questions] == ["one", "two", "three"]
    turns = world.turns(page.thread_id)
    assert all(before.finished_at <= after.started_at for before, after in pairwise(turns))  # type: ignore[operator]
    assert turns[0].usage["input_tokens"] < turns[1].usage["input_tokens"] < turns[2].usage["input_tokens"], "each is sent what came before"


def test_a_queued_message_can_be_taken_back_on_the_page(world: World) -> None:
    page = asked(world.page(), "[[tokens=150 delay=20]] one")
    page.send("[[tokens=3]] two", CLAUDE)
    page.send("[[tokens=3]] three", CLAUDE)
    page.until(lambda p: p.statuses == ["running", "queued", "queued"])
    answer = page.browser.post(f"/c/turns/{page.turns[1]['data-turn']}/withdraw")
    assert (answer.status, answer.text) == (200, "[[tokens=3]] two")
    page.until(lambda p: len(p.turns) == 2)
    page.until(lambda p: p.over)
    assert [text.rsplit(" ", 1)[-1] for text in page.questions] == ["one", "three"]


def test_a_turn_whose_model_left_the_catalogue_fails_with_a_sentence(world: World) -> None:
    user = world.person()
    row = CatalogModel.objects.create(
        slug="short-lived", label="Short", provider="demo", upstream="x", context_window=1000, input_price=1, output_price=1
    )
    thread = actions.create_thread(user)
    put_to_sleep(world.stack)
    try:
        actions.admit_turn(user, thread.pk, content="Hello", model="short-lived", request_id="1")
        row.delete()
    finally:
        world.stack.tell("replies", signal.SIGCONT)
    (turn,) = world.settled(thread.pk)
    assert (turn.status, turn.error_kind) == ("failed", "not_found")
    page = world.page(user, thread.pk).open()
    assert "Choose another one" in page.turns[0].text


def test_deleting_a_thread_stops_its_answer_and_closes_its_pages(world: World) -> None:
    page = asked(world.page(), "[[tokens=2000 delay=10]]")
    page.until(lambda p: "w5 " in p.answer())
    assert page.browser.post(f"/c/{page.thread_id}/delete").status < 400
    assert page.until_closed(3) == 4404
    (turn,) = world.settled(page.thread_id, seconds=2)
    assert turn.status == "stopped"
    page.close_code = None
    assert page.connect().until_closed(3) == 4404


def test_titles_fall_due_with_the_first_answer_that_says_something(world: World) -> None:
    page = asked(world.page(), "[[status=401]]")
    page.until(lambda p: p.over)
    assert not Thread.objects.get(pk=page.thread_id).title_due
    page.send("[[tokens=3 status=0]]", CLAUDE)
    page.until(lambda p: len(p.turns) == 2 and p.over)
    assert Thread.objects.get(pk=page.thread_id).title_due


def test_what_the_person_asked_for_in_settings_reaches_the_provider(world: World) -> None:
    user = world.person()
    plain, instructed = world.page(user), world.page(user)
    asked(plain, "[[tokens=3]] hello", "demo").until(lambda p: p.over)
    user.custom_instructions = "Be brief. " * 100
    user.save(update_fields=["custom_instructions"])
    asked(instructed, "[[tokens=3]] hello", "demo").until(lambda p: p.over)
    sizes: list[Any] = [the_turn(page).usage["input_tokens"] for page in (plain, instructed)]
    assert sizes[1] > sizes[0] + 200
