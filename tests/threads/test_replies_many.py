"""More than one generating process, and processes that stall, leave or never come back."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from chatai.lib.ids import uuid7
from tests.dom import parse
from tests.page import Browser, Page
from tests.running import STACK_DATABASE, World, database_url, put_to_sleep, words
from tests.stack import Stack, until
from threads import actions
from threads.blocks import BlockDelta, BlockStart, Event, MessageStart, TextDelta, dump_event, text_of
from threads.models import Message, Runner, Thread, Turn, TurnEvent

CLAUDE, GPT = "claude-haiku-4-5", "gpt-5-4-mini"  # the first continues a partial answer, the second cannot


@pytest.fixture
def second(world: World) -> Iterator[Stack]:
    """The stack with a second replies process, which is asleep until it gets SIGCONT."""
    stack = world.stack
    stack.start("replies-2", DRAIN_SECONDS="1")
    stack.wait_ready()
    put_to_sleep(stack, "replies-2")
    try:
        yield stack
    finally:
        stack.tell("replies", signal.SIGCONT)
        if stack.runs("replies-2"):
            stack.tell("replies-2", signal.SIGCONT)
            stack.kill("replies-2", signal.SIGTERM)


def asked(page: Page, script: str, model: str = CLAUDE) -> Page:
    assert page.send(script, model, new=True).status == 204
    return page


def text_of_answer(turn: Turn) -> str:
    return " ".join(text_of(Message.objects.get(turn=turn, role="assistant").content).split())


def test_two_processes_share_the_turns_and_answer_each_once(world: World, second: Stack) -> None:
    second.tell("replies-2", signal.SIGCONT)
    before = world.stack.provider_stats()["requests"]
    user = world.person()
    pages = [world.page(user) for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda page: asked(page, "[[tokens=10 delay=20]]"), pages))
    turns = world.settled(*(page.thread_id for page in pages))
    assert [(turn.status, turn.epoch, text_of_answer(turn)) for turn in turns] == [("done", 1, words(10))] * 40
    assert len({turn.runner for turn in turns}) == 2
    assert world.stack.provider_stats()["requests"] - before == 40


@pytest.mark.slow
@pytest.mark.parametrize("round_", [1, 2])
def test_a_stalled_process_writes_nothing_once_another_took_over(world: World, second: Stack, round_: int) -> None:
    user = world.person()
    continued = [asked(world.page(user), "[[tokens=100 delay=30]]") for _ in range(3)]
    ended = [asked(world.page(user), "[[tokens=100 delay=30]]", GPT) for _ in range(2)]
    silent = asked(world.page(user), "[[tokens=20 delay=5 first=1500]]", GPT)
    everyone = [*continued, *ended, silent]
    watching = [page.open() for page in everyone]
    for page in [*continued, *ended]:
        page.until(lambda p: "w5" in p.answer())
    put_to_sleep(second)
    second.tell("replies-2", signal.SIGCONT)
    running = Turn.objects.filter(thread__user=user, epoch=1, status="running")
    until(lambda: not running.exists(), 40, "every turn is taken over")
    second.tell("replies", signal.SIGCONT)
    world.settled(*(page.thread_id for page in everyone), seconds=30)
    for page in watching:
        page.until(lambda p: p.over)
    for page in continued:
        (turn,) = world.turns(page.thread_id)
        assert (turn.status, turn.epoch, text_of_answer(turn), page.answer()) == ("done", 2, words(100), words(100))
    for page in ended:
        (turn,) = world.turns(page.thread_id)
        kept = text_of_answer(turn)
        assert (turn.status, page.answer()) == ("interrupted", kept)
        assert kept == words(len(kept.split()))
        assert kept
    (turn,) = world.turns(silent.thread_id or UUID(int=0))
    assert (turn.status, text_of_answer(turn)) == ("done", words(20)), "nothing was shown, so it began anew"


def test_what_was_given_to_a_process_that_has_just_stalled_is_answered_by_another(world: World, second: Stack) -> None:
    second.tell("replies-2", signal.SIGCONT)
    sleeper = f":{second.processes['replies-2'].pid}:"
    until(lambda: Runner.objects.filter(name__contains=sleeper, takes=True).exists(), 10, "it is given turns again")
    second.tell("replies-2", signal.SIGSTOP)
    user = world.person()
    pages = [asked(world.page(user), "[[tokens=5]]") for _ in range(12)]
    lost = set(Turn.objects.filter(runner__contains=sleeper, thread__user=user).values_list("pk", flat=True))
    assert lost
    turns = world.settled(*(page.thread_id for page in pages), seconds=10)
    assert [(turn.status, text_of_answer(turn)) for turn in turns] == [("done", words(5))] * 12
    assert {turn.pk for turn in turns if turn.attempts > 1} == lost


@pytest.mark.slow
def test_a_process_that_stalled_without_being_missed_goes_on(world: World) -> None:
    page = asked(world.page(), "[[tokens=150 delay=30]]").open()
    page.until(lambda p: "w5" in p.answer())
    put_to_sleep(world.stack)
    lease = Turn.objects.get(thread_id=page.thread_id).lease_until
    assert lease
    until(lambda: timezone.now() > lease + timedelta(seconds=0.2), 10, "the lease runs out")
    world.stack.tell("replies", signal.SIGCONT)
    page.until(lambda p: p.over, 20)
    turn = Turn.objects.get(thread_id=page.thread_id)
    assert (turn.status, page.answer()) == ("done", words(150))
    assert turn.epoch > 1


def test_a_lease_that_runs_out_under_a_living_process_is_taken_anew_by_it(world: World) -> None:
    page = asked(world.page(), "[[tokens=150 delay=30]]").open()
    running = Turn.objects.filter(thread_id=page.thread_id, status="running")
    page.until(lambda p: "w1 " in p.answer())
    while running.update(lease_until=timezone.now() - timedelta(seconds=1)):
        time.sleep(0.1)
    page.until(lambda p: p.over)
    turn = Turn.objects.get(thread_id=page.thread_id)
    assert (turn.status, turn.attempts, page.answer()) == ("done", 1, words(150))


def test_on_sigterm_short_answers_finish_long_ones_are_handed_over_and_nothing_is_lost(world: World, second: Stack) -> None:
    user = world.person()
    put_to_sleep(second)
    second.tell("replies-2", signal.SIGCONT)
    short, long = asked(world.page(user), "[[tokens=20 delay=25]]"), asked(world.page(user), "[[tokens=200 delay=25]]")
    for page in (short, long):
        page.open().until(lambda p: "w2" in p.answer())
    started = time.monotonic()
    code = second.kill("replies-2", signal.SIGTERM)
    assert (code, time.monotonic() - started < 1 + 5) == (0, True)
    late = asked(world.page(user), "[[tokens=3]]")
    second.tell("replies", signal.SIGCONT)
    for page, count, attempts in ((short, 20, 1), (long, 200, 2), (late, 3, 1)):
        (turn,) = world.settled(page.thread_id)
        assert (turn.status, turn.attempts, text_of_answer(turn)) == ("done", attempts, words(count))
    long.until(lambda p: p.over)
    assert long.answer() == words(200)


@pytest.mark.parametrize(
    ("attempts", "said", "status"),
    [(4, "w0 w1 ", "done"), (5, "w0 w1 ", "interrupted"), (5, "", "failed")],
    ids=["fourth", "kept", "empty"],
)
def test_a_turn_is_tried_five_times_and_then_sealed_with_what_is_there(world: World, attempts: int, said: str, status: str) -> None:
    turn = _left_behind(world, attempts, said)
    page = world.page(turn.thread.user, turn.thread_id).open()
    world.settled(turn.thread_id)
    page.until(lambda p: p.over)
    turn.refresh_from_db()
    whole = words(6) if status == "done" else said.strip()
    assert (turn.status, turn.attempts, text_of_answer(turn), page.answer()) == (status, attempts + 1, whole, whole)
    assert bool(turn.error_message) == (status != "done")


def _left_behind(world: World, attempts: int, said: str) -> Turn:
    """A turn as a process leaves it that was killed while it worked."""
    user = world.person()
    thread = Thread.objects.create(user=user, key=user.api_keys.get(), turn_count=1, last_seq=2)
    turn = Turn.objects.create(
        thread=thread,
        number=1,
        request_id=str(uuid7()),
        request_digest=b"",
        model=CLAUDE,
        price={"input": "1", "output": "5", "cache_read": "1", "cache_write": "1"},
        status="running",
        epoch=attempts,
        attempts=attempts,
        ring=0,
        first_seq=1,
        started_at=timezone.now(),
        lease_until=timezone.now() + timedelta(hours=1),
    )
    question = [{"type": "text", "text": "[[tokens=6]]"}]
    Message.objects.create(thread=thread, turn=turn, seq=1, role="user", content=question)
    Message.objects.create(thread=thread, turn=turn, seq=2, role="assistant", content=[], status="streaming")
    events: list[Event] = [MessageStart({"id": "msg", "model": CLAUDE}), BlockStart(0, {"type": "text", "text": ""})]
    if said:
        events.append(BlockDelta(0, TextDelta(said)))
    TurnEvent.objects.bulk_create(
        TurnEvent(ring=0, turn_id=turn.pk, index=index, epoch=attempts, payload=dump_event(event), created_at=timezone.now())
        for index, event in enumerate(events)
    )
    Thread.objects.filter(pk=thread.pk).update(active_turn=turn)
    Turn.objects.filter(pk=turn.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    return turn


def test_without_redis_everything_works_a_little_later(world: World) -> None:
    put_to_sleep(world.stack)
    alone = Stack("no-redis", database_url(STACK_DATABASE), "redis://127.0.0.1:1", LEASE_SECONDS="4")
    alone.env |= {name: world.stack.env[name] for name in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL")}
    try:
        alone.start("web", "replies")
        alone.wait_ready()
        user = world.person()
        browser = Browser(alone.url)
        answer = browser.sign_in(user)
        assert answer.status == 302, parse(answer.text).text
        page = Page(browser, uuid7())
        world.pages.append(page)
        asked(page, "[[tokens=5]]").open().until(lambda p: p.over, 30)  # the first one, with everything still cold
        started = time.monotonic()
        page.send("[[tokens=60 delay=20]]", CLAUDE)
        page.until(lambda p: len(p.turns) == 2 and "w1 " in p.answer())
        assert time.monotonic() - started < 3
        page.until(lambda p: p.over)
        assert page.answer() == words(60)
        page.send("[[tokens=2000 delay=20]]", CLAUDE)
        page.until(lambda p: len(p.turns) == 3 and "w1 " in p.answer())
        started = time.monotonic()
        page.stop()
        page.until(lambda p: p.over)
        assert time.monotonic() - started < 3
    finally:
        alone.stop()
        world.stack.tell("replies", signal.SIGCONT)
    assert "Traceback" not in alone.log("replies").decode()


def test_the_statement_that_admits_and_the_one_that_claims_use_indexes_alone(world: World) -> None:
    """However long the history, the queue is found by its partial index."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute("EXPLAIN (FORMAT JSON) SELECT id FROM threads_turn WHERE status = 'queued' ORDER BY created_at LIMIT 10")
        plan = json.dumps(cursor.fetchone()[0])
        cursor.execute("SET enable_seqscan = on")
    assert "turn_queue" in plan


def test_a_deleted_thread_with_queued_turns_is_never_claimed(world: World) -> None:
    user = world.person()
    thread = actions.create_thread(user)
    put_to_sleep(world.stack)
    try:
        actions.admit_turn(user, thread.pk, content="Hello", model="demo", request_id="1")
        actions.delete_thread(user, thread.pk)
    finally:
        world.stack.tell("replies", signal.SIGCONT)
    asked(world.page(user), "[[tokens=2]]").open().until(lambda p: p.over)
    assert Turn.objects.get(thread=thread).status == "queued"
    actions.undo_delete(user, thread.pk)
    (turn,) = world.settled(thread.pk)
    assert turn.status == "done"
