"""Turns that end at random points: stopped, left, killed, failed, taken back. Nothing stays held, nothing received is free.

`MONEY_ROUNDS=1000` (or any number) repeats what is repeated here a few times.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import QuerySet, Sum

from accounts import keys
from accounts.models import User
from billing.models import Budget, LedgerEntry, Reservation
from billing.pricing import cost_micros
from tests.api.client import Caller, Stream
from tests.stack import Stack, until
from threads import holds
from threads.models import Message, Turn

ROUNDS = int(os.environ.get("MONEY_ROUNDS", "40"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

SENDERS = 8
TOKENS = 300
TEXT = ("the cat and the dog ran far out and sat " * TOKENS)[: 4 * TOKENS - 1]  # tokens as long as providers' are on the average
MODELS = ("claude-haiku-4-5", "gpt-5-4-mini")  # the first continues a partial answer, the second ends as interrupted
ENDINGS = ("done", "stopped", "left", "killed", "failed", "withdrawn")
FAILURES = ("cut={at}", "malformed={at}", "error_in_200 after={at} error=overloaded_error", "hang=mid after={at}", "status=529", "no_usage")
CAP = 2_000_000  # micro-dollars; far more than one sender's turns cost, and far less than what leaked holds would add up to


class Storm:
    """Senders that end their turns in every way, and a killer that takes one generating process at a time."""

    def __init__(self, bank: Stack) -> None:
        self.bank = bank
        self.killing = threading.Lock()
        self.refused = 0
        self.endings: dict[str, str] = {}  # by id of the script

    def run(self, number: int) -> User:
        user = User.objects.create_user(f"sender-{uuid4().hex[:8]}@example.com")
        Budget.objects.for_user(user).update(limit_micros=CAP)
        caller = Caller(self.bank.url, keys.mint(user, "storm")[1])
        connection.close()
        dice = random.Random(number)
        for _ in range(number, ROUNDS, SENDERS):
            self.turn(caller, dice)
        return user

    def turn(self, caller: Caller, dice: random.Random) -> None:
        ending, model, at = dice.choice(ENDINGS), dice.choice(MODELS), dice.randint(1, TOKENS - 20)
        script = f"id={(mark := uuid4().hex)} delay=15 text='{TEXT}'"
        self.endings[mark] = f"{ending} {model}"
        if ending == "failed":
            script += " " + dice.choice(FAILURES).format(at=at)
        thread_id = caller.thread()
        with caller.stream(thread_id, f"[[{script}]]", model=model, tools=[]) as stream:
            if stream.status == 402:
                self.refused += 1
            if stream.status != 200:
                return
            turn_id = stream.headers["x-qlaud-turn-id"]
            if ending == "withdrawn":
                self.withdraw(caller, thread_id, model)
            if ending in ("stopped", "left", "killed"):
                self.read(stream, at)
            if ending == "stopped":
                caller.post(f"/v1/threads/{thread_id}/turns/{turn_id}/stop")
            elif ending == "killed":
                self.kill(dice.choice(("replies", "replies-2")))
            if ending != "left":
                self.read(stream)

    def read(self, stream: Stream, characters: int | None = None) -> None:
        """To the end, or until about so many tokens of text have come."""
        got = 0
        for event in stream:
            got += len(event.data["delta"].get("text", "")) if event.name == "content_block_delta" else 0
            if characters is not None and got >= characters * 4:
                return

    def withdraw(self, caller: Caller, thread_id: str, model: str) -> None:
        with caller.stream(thread_id, "[[tokens=2]]", model=model) as queued:
            self.refused += queued.status == 402
            if queued.status == 200:
                caller.post(f"/v1/threads/{thread_id}/turns/{queued.headers['x-qlaud-turn-id']}/stop")

    def kill(self, name: str) -> None:
        with self.killing:
            self.bank.restart(name)
            time.sleep(1)  # a process that never gets to work proves nothing


@pytest.fixture
def storm(bank: Stack, books: None) -> Iterator[Storm]:
    yield Storm(bank)
    bank.start("replies", "replies-2")


def script_of(turn: Turn) -> str:
    question = Message.objects.get(turn=turn, role="user").content[0]["text"]
    return str(question.partition("[[id=")[2].partition(" ")[0])


def test_every_ending_is_paid_for_and_nothing_stays_held(storm: Storm, bank: Stack) -> None:
    with ThreadPoolExecutor(SENDERS) as pool:
        users = list(pool.map(storm.run, range(SENDERS)))
    mine = Turn.objects.filter(thread__user__in=users)
    until(lambda: not mine.filter(finished_at=None).exists(), 60, "every turn is over")
    assert storm.refused == 0, "a 402 under the cap"
    time.sleep(2 * int(bank.env["LEASE_SECONDS"]))
    holds.free_lost()  # as the worker does every few seconds
    assert not Reservation.objects.filter(state="held").exists()
    assert not Budget.objects.exclude(reserved_micros=0).exists()

    free, true, charged = compare(storm, mine)
    assert free == []
    for user in users:
        spent = LedgerEntry.objects.for_user(user).aggregate(spent=Sum("cost_micros"))["spent"]
        assert (
            Budget.objects.get(user=user).spent_micros
            == spent
            == mine.filter(thread__user=user).aggregate(Sum("cost_micros"))["cost_micros__sum"]
        )
    together = sum(charged.values()) / sum(true.values())
    estimated = LedgerEntry.objects.filter(user_id__in=[user.pk for user in users], estimated=True).count()
    print(json.dumps({"turns": mine.count(), "taken over": mine.filter(attempts__gt=1).count(), "estimated": estimated}))
    print(json.dumps({ending: f"{charged[ending] / true[ending]:.3f} of {true[ending]}" for ending in sorted(true)}))
    print(f"charged {together:.4f} of what was used")
    assert 0.95 < together < 1.05


def compare(storm: Storm, turns: QuerySet[Turn]) -> tuple[list[str], Counter[str], Counter[str]]:
    """Turns that received something for nothing; by ending, what the provider's books come to and what was charged, in micro-dollars."""
    books: dict[str, list[dict[str, Any]]] = {}
    for call in storm.bank.provider_used():
        books.setdefault(call["id"], []).append({"input_tokens": call["input_tokens"], "output_tokens": call["output_tokens"]})
    free: list[str] = []
    true: Counter[str] = Counter()
    charged: Counter[str] = Counter()
    for turn in turns.filter(ring__isnull=False):  # those that began; of the ones taken back nothing is there
        mark = script_of(turn)
        ending = storm.endings.get(mark, "withdrawn")
        true[ending] += sum(cost_micros(call, turn.price) for call in books.get(mark, []))
        charged[ending] += turn.cost_micros
        if Message.objects.get(turn=turn, role="assistant").content and not turn.cost_micros:
            free.append(f"{ending}: {turn.pk}")
    return free, true, charged
