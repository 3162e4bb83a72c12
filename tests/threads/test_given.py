"""Turns that start as they are admitted: given to a process that is alive, taken by it once, and by another one when it does not come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import Budget
from chatai.lib import hints
from chatai.lib.link import Link
from chatai.lib.postgres import conninfo
from threads import actions, admission, load
from threads.models import CatalogModel, Message, Runner, Thread, Turn
from threads.providers import catalog
from threads.refusals import Refused
from threads.replies import claims, store
from threads.starting import GIVEN_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "host:1:abc"
Heard = list[tuple[str, ...]]


@pytest.fixture(autouse=True)
def announced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    heard: Heard = []
    monkeypatch.setattr(hints, "announce", lambda *words: heard.append(tuple(map(str, words))))
    load._looked_at = 0.0
    catalog.forget()
    yield heard
    load._looked_at = 0.0
    catalog.forget()


@pytest.fixture
def thread(owner: User) -> Thread:
    return actions.create_thread(owner)


def beat(name: str = NAME, *, seen: float = 0, **fields: Any) -> Runner:
    now = timezone.now()
    given = {"capacity": 100, "takes": True, **fields}
    return Runner.objects.create(name=name, started_at=now, seen_at=now - timedelta(seconds=seen), **given)


def ask(user: User, thread: Thread, text: str = "Hello", **rest: Any) -> Turn:
    given = {"model": "demo", "request_id": str(uuid4()), **rest}
    return Turn.objects.get(pk=admission.admit_turn(user, thread.pk, content=text, **given).turn_id)


def linked(work: Callable[[Link], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        link = await Link.connect(conninfo("test"))
        try:
            return await work(link)
        finally:
            await link.close()

    return asyncio.run(run())


def taken(*turns: Turn, by: str = NAME) -> list[claims.Claimed]:
    return list(linked(lambda link: claims.take(link, by, [turn.pk for turn in turns])))


def left(name: str = NAME) -> set[UUID]:
    return set(linked(lambda link: claims.left(link, name)))


def connected(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        async with await psycopg.AsyncConnection.connect(conninfo("test"), autocommit=True) as one:
            return await work(one)

    return asyncio.run(run())


def recovered(by: str = "host:2:def") -> list[claims.Claimed]:
    return list(connected(lambda one: claims.recover(one, by, 15, 10, 1, [])))


def test_a_turn_starts_as_it_is_admitted(owner: User, thread: Thread, announced: Heard) -> None:
    beat()
    before = timezone.now()
    turn = ask(owner, thread, "What is 2 + 2?")
    assert (turn.status, turn.runner, turn.epoch, turn.attempts, turn.first_seq) == ("running", NAME, 1, 1, 1)
    assert turn.lease_until is not None
    assert timedelta() < turn.lease_until - before < timedelta(seconds=GIVEN_SECONDS + 5)
    assert turn.started_at == turn.created_at
    assert turn.ring is not None
    assert list(Message.objects.order_by("seq").values_list("seq", "role", "status")) == [
        (1, "user", "complete"),
        (2, "assistant", "streaming"),
    ]
    thread.refresh_from_db()
    assert (thread.active_turn_id, thread.last_seq, thread.turn_count) == (turn.pk, 2, 1)
    assert announced == [("replies", "given", f"{NAME}/{turn.pk}"), ("live", "turns", f"{thread.pk}/{turn.pk}")]


@pytest.mark.parametrize(
    "fields", [{"takes": False}, {"takes": False, "draining": True}, {"seen": 10}], ids=["full or an older version", "draining", "not seen"]
)
def test_without_a_process_that_takes_turns_it_is_queued(owner: User, thread: Thread, announced: Heard, fields: Any) -> None:
    beat(**fields)
    turn = ask(owner, thread)
    assert (turn.status, turn.runner, turn.epoch, turn.first_seq, turn.lease_until) == ("queued", "", 0, None, None)
    thread.refresh_from_db()
    assert (thread.active_turn_id, thread.last_seq) == (None, 0)
    assert announced == [("replies", "work")]


def test_what_comes_behind_another_turn_is_queued_and_its_number_follows(owner: User, thread: Thread) -> None:
    beat()
    first, second = ask(owner, thread, "one"), ask(owner, thread, "two")
    assert (first.status, second.status, second.first_seq) == ("running", "queued", None)
    Turn.objects.filter(pk=first.pk).update(status="done", finished_at=timezone.now(), lease_until=None)
    Thread.objects.filter(pk=thread.pk).update(active_turn=None)
    third = ask(owner, thread, "three")  # nobody has claimed the second yet
    assert third.status == "queued"
    (claimed,) = connected(lambda one: claims.claim(one, NAME, 15, 10))
    assert (claimed.id, claimed.first_seq) == (second.pk, 3)


def test_one_process_of_those_that_are_there_is_chosen(owner: User) -> None:
    names = [beat(f"host:{number}:x").name for number in range(3)]
    beat("host:9:gone", seen=60)
    given = {ask(owner, actions.create_thread(owner)).runner for _ in range(40)}
    assert given == set(names)


def test_a_send_that_is_repeated_refused_or_unpaid_starts_nothing(owner: User, thread: Thread) -> None:
    beat()
    turn = ask(owner, thread, request_id="r1")
    assert ask(owner, thread, request_id="r1") == turn
    with pytest.raises(Refused) as busy:
        ask(owner, thread, on_busy="reject")
    assert busy.value.status == 409
    Budget.objects.filter(user=owner).update(limit_micros=0)
    CatalogModel.objects.filter(slug="demo").update(input_price=1, output_price=1)
    catalog.forget()
    other = actions.create_thread(owner)
    with pytest.raises(Refused) as unpaid:
        ask(owner, other)
    assert unpaid.value.status == 402
    assert Turn.objects.count() == 1


def test_it_is_taken_with_what_a_claim_would_have_found(owner: User, thread: Thread) -> None:
    """The same conversation, admitted without a process and claimed, admitted to one and taken."""
    found = []
    for number in range(2):
        one = actions.create_thread(owner)
        earlier = ask(owner, one, "What is 2 + 2?")
        claimed = _finished(earlier)
        if number:
            beat()
        turn = ask(owner, one, "And 3 + 3?")
        got = taken(turn) if number else connected(lambda link: claims.claim(link, NAME, 15, 10))
        (mine,) = [this for this in got if this.id == turn.pk]
        assert mine.thread_id == one.pk
        assert mine.answer_id == Message.objects.get(turn=turn, role="assistant").pk
        found.append(mine)
        assert claimed.first_seq == 1
    same = replace(found[1], **{name: getattr(found[0], name) for name in ("id", "thread_id", "answer_id", "request_id")})
    assert same == found[0]
    assert found[1].recent == [
        [1, "user", [{"type": "text", "text": "What is 2 + 2?"}]],
        [2, "assistant", [{"type": "text", "text": "4"}]],
        [3, "user", [{"type": "text", "text": "And 3 + 3?"}]],
    ]


def _finished(turn: Turn) -> claims.Claimed:
    claimed: claims.Claimed
    Runner.objects.all().delete()
    (claimed,) = connected(lambda one: claims.claim(one, NAME, 15, 10))
    Turn.objects.filter(pk=turn.pk).update(status="done", finished_at=timezone.now(), lease_until=None)
    Thread.objects.filter(pk=turn.thread_id).update(active_turn=None)
    Message.objects.filter(turn=turn, role="assistant").update(status="complete", content=[{"type": "text", "text": "4"}])
    return claimed


def test_only_the_process_that_was_given_it_can_take_it_and_only_while_its_first_lease_lasts(owner: User, thread: Thread) -> None:
    beat()
    turn = ask(owner, thread)
    assert taken(turn, by="host:2:def") == []
    assert left("host:2:def") == set()
    assert left() == {turn.pk}
    assert [one.id for one in taken(turn)] == [turn.pk]
    assert linked(lambda link: store.renew(link, 15, {turn.pk: 1})) == {turn.pk: 1}
    assert taken(turn) == []  # a lease that was renewed belongs to a turn that is at work
    assert left() == set()


def test_what_is_not_taken_in_time_is_taken_over(owner: User, thread: Thread) -> None:
    beat()
    turn = ask(owner, thread)
    assert recovered() == []
    Turn.objects.filter(pk=turn.pk).update(lease_until=timezone.now() - timedelta(milliseconds=1))
    assert taken(turn) == []
    (claimed,) = recovered()
    assert (claimed.id, claimed.epoch, claimed.attempts, claimed.answer_seq) == (turn.pk, 2, 2, 2)
    assert linked(lambda link: store.renew(link, 15, {turn.pk: 1})) == {}


def test_a_process_that_leaves_hands_back_what_it_has_not_started(owner: User) -> None:
    beat()
    started, waiting = ask(owner, actions.create_thread(owner)), ask(owner, actions.create_thread(owner))
    connected(lambda one: claims.hand_back(one, NAME, but=[started.pk]))
    assert [one.id for one in recovered()] == [waiting.pk]
