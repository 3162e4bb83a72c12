"""Processes that die over a turn, and processes that wake up too late."""

import signal
from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from pytest_django import DjangoDbBlocker

from accounts.models import User
from tests.api.poisoned import POISON
from tests.running import database_url, fresh_database, working_in
from tests.stack import Stack, until
from threads import actions
from threads.blocks import BlockDelta, TextDelta, load_event
from threads.models import Message, Turn, TurnEvent

DATABASE = "test_chatai_faults"
pytestmark = pytest.mark.slow


class Fragile(Stack):
    """Its replies processes die of one question."""

    def command(self, name: str) -> list[str]:
        return ["-m", "tests.api.poisoned"] if name.startswith("replies") else super().command(name)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    running = Fragile("faults", fresh_database(DATABASE), settings.REDIS_URL, LEASE_SECONDS="2", DEMO_DELAY_MS="15")
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def asker(stack: Stack, django_db_blocker: DjangoDbBlocker) -> Iterator[User]:
    with django_db_blocker.unblock(), working_in(database_url(DATABASE)):
        yield User.objects.create_user(f"{uuid4().hex}@api.example.com", "correct horse battery")


def ask(user: User, text: str) -> UUID:
    thread = actions.create_thread(user)
    return actions.admit_turn(user, thread.pk, content=text, model="demo", request_id=str(uuid4())).turn_id


def over(*turns: UUID) -> bool:
    return not Turn.objects.filter(pk__in=turns, finished_at=None).exists()


def test_a_turn_that_kills_is_given_up_and_takes_no_other_along(stack: Stack, asker: User) -> None:
    neighbours = [ask(asker, f"hello {number}") for number in range(4)]
    poison = ask(asker, f"{POISON} {POISON}")
    deaths = 0

    def settled() -> bool:
        nonlocal deaths
        if not stack.runs("replies"):
            deaths += "replies" in stack.processes
            stack.start("replies")
            if deaths < 6:
                neighbours.append(ask(asker, f"hello again {deaths}"))
        return over(poison, *neighbours)

    until(settled, 110, "all are over")
    stack.kill("replies", signal.SIGTERM)
    given_up = Turn.objects.get(pk=poison)
    assert (given_up.status, deaths) == ("failed", settings.MAX_ATTEMPTS)
    assert "several attempts" in given_up.error_message
    assert [turn.status for turn in Turn.objects.filter(pk__in=neighbours)] == ["done"] * len(neighbours)


def test_a_process_that_slept_over_its_lease_writes_nothing(stack: Stack, asker: User) -> None:
    """Fifty answers under way in a process that is paused until another one has finished them all."""
    turns = [ask(asker, f"tell me about number {number}") for number in range(50)]
    stack.start("replies-1")
    until(lambda: TurnEvent.objects.filter(turn_id__in=turns).values("turn_id").distinct().count() == 50, 40, "all have begun")
    stack.tell("replies-1", signal.SIGSTOP)
    sleeper = Turn.objects.get(pk=turns[0]).runner
    stack.start("replies-2")
    until(lambda: over(*turns), 60, "the other finished them")
    before = {turn.pk: (turn.status, turn.epoch, turn.usage, turn.runner) for turn in Turn.objects.filter(pk__in=turns)}
    written = TurnEvent.objects.filter(turn_id__in=turns).count()
    stack.tell("replies-1", signal.SIGCONT)
    until(lambda: ask_and_wait(asker), 20, "the sleeper is awake")
    assert {turn.pk: (turn.status, turn.epoch, turn.usage, turn.runner) for turn in Turn.objects.filter(pk__in=turns)} == before
    assert TurnEvent.objects.filter(turn_id__in=turns).count() == written
    assert sum(runner != sleeper for _, _, _, runner in before.values()) == 50
    for turn in Turn.objects.filter(pk__in=turns):
        events = list(TurnEvent.objects.filter(ring=turn.ring or 0, turn_id=turn.pk).order_by("index"))
        assert [event.index for event in events] == list(range(len(events)))
        assert all(earlier.epoch <= later.epoch for earlier, later in pairwise(events))
        deltas = [event.delta for event in (load_event(one.payload) for one in events) if isinstance(event, BlockDelta)]
        said = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
        assert Message.objects.get(turn=turn, role="assistant").content[-1]["text"] == said
    for name in ("replies-1", "replies-2"):
        stack.kill(name, signal.SIGTERM)


def ask_and_wait(asker: User) -> bool:
    """A new answer from the start to its end: time in which a process that woke up could have done harm."""
    turn = ask(asker, "and now?")
    until(lambda: over(turn), 15, "it is answered")
    return True
