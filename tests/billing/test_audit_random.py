"""Money moved at random by several processes that are killed, cut off and rolled back: every micro-dollar stays explained.

`POSTINGS=100000` (or any number) makes it that many.
"""

import logging
import os
import random
import selectors
import time
from collections import Counter
from pathlib import Path

import pytest
from django.db import connection
from django.db.models import Sum

from accounts import keys
from accounts.models import User
from billing import actions, audit
from billing.models import Budget, LedgerEntry, Reservation
from tests.billing.postings import RAISED_ONLY
from tests.forked import Forked, Parent
from tests.running import database_url

POSTINGS = int(os.environ.get("POSTINGS", "3000"))
PROCESSES = 4
SHOCKS = 25  # a process killed or a connection cut so many times, whatever the number of postings
SECONDS = 120 + POSTINGS / 20  # no bar: only that a test which hangs ends

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.timeout(SECONDS + 60)]

CUT_ONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'postings' AND state <> 'idle' ORDER BY random() LIMIT 1
"""


class Crowd:
    """The processes, their output, and the dice that end them."""

    def __init__(self, seed: int, home: Path) -> None:
        self.home = home
        self.dice = random.Random(seed)
        self.tally: Counter[str] = Counter()
        self.started = 0
        self.reading = selectors.DefaultSelector()
        url = database_url(str(connection.settings_dict["NAME"]))
        self.env = {**os.environ, "DATABASE_URL": url, "PGAPPNAME": "postings", "LOG_LEVEL": "CRITICAL"}
        self.parent = Parent(self.env, home / "parent.log")
        self.processes = [self._start() for _ in range(PROCESSES)]

    def _start(self) -> tuple[Forked, int]:
        """The process and what it prints into."""
        self.started += 1
        os.mkfifo(pipe := self.home / f"process-{self.started}")
        output = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.reading.register(output, selectors.EVENT_READ)
        return self.parent.start(["-m", "tests.billing.postings", str(self.dice.randrange(10**9))], pipe), output

    def run(self, postings: int) -> None:
        """Until so many attempts were made, with shocks spread over them."""
        deadline = time.monotonic() + SECONDS
        every, next_shock = postings // SHOCKS, 0
        while self.tally.total() < postings:
            assert time.monotonic() < deadline, self.tally
            for ready, _ in self.reading.select(timeout=1):
                text = os.read(ready.fd, 65536).decode()
                assert text, "a process ended by itself"
                self.tally.update(text)
            if self.tally.total() >= next_shock + every:
                next_shock += every
                self._shock()

    def _shock(self) -> None:
        if self.dice.random() < 0.3:
            number = self.dice.randrange(PROCESSES)
            self._end(*self.processes[number])
            self.processes[number] = self._start()
        else:
            with connection.cursor() as cursor:
                cursor.execute(CUT_ONE)

    def _end(self, process: Forked, output: int) -> None:
        process.kill()
        process.wait()
        self.reading.unregister(output)
        with os.fdopen(output) as rest:
            self.tally.update(rest.read())

    def stop(self) -> None:
        for process, output in self.processes:
            self._end(process, output)
        self.reading.close()
        self.parent.close()


def people() -> None:
    for number in range(8):
        user = User.objects.create_user(f"person{number}@example.com")
        keys.mint(user, "Capped", max_spend_micros=20_000)
        keys.mint(user, "Open")
    actions.adjust(User.objects.get(email="person7@example.com"), None, "unlimited", "For a friend")
    # Not much, so that the gates are closed as often as open.
    for user in User.objects.exclude(email="person7@example.com"):
        actions.adjust(user, 30_000, f"start:{user.pk}", "To begin with")


def check_sums() -> None:
    """The same as the proof says, asked in another way."""
    for budget in Budget.objects.select_related("user", "key"):
        lines = LedgerEntry.objects.filter(user_id=budget.user_id) if budget.user_id else LedgerEntry.objects.filter(key_id=budget.key_id)
        sums = lines.aggregate(cost=Sum("cost_micros", default=0), amount=Sum("amount_micros", default=0))
        assert sums["cost"] == budget.spent_micros
        open_holds = Reservation.objects.filter(state="held", **{"account" if budget.user_id else "key": budget})
        assert open_holds.aggregate(held=Sum("amount_micros", default=0))["held"] == budget.reserved_micros
        if budget.user_id:
            assert sums["amount"] == (budget.limit_micros or 0)
    assert LedgerEntry.objects.count() == LedgerEntry.objects.values("source").distinct().count()


def test_whatever_breaks_off_lines_and_counters_agree_to_the_micro_dollar(tmp_path: Path) -> None:
    people()
    crowd = Crowd(4, tmp_path)
    try:
        crowd.run(POSTINGS)
    finally:
        crowd.stop()
    assert crowd.tally["D"] == 0, "the order of locks allows no deadlock"
    assert crowd.tally["."] > POSTINGS / 2
    assert crowd.started > PROCESSES
    proof = audit.prove()
    assert (proof.count, proof.first) == (0, "")
    check_sums()
    for user in User.objects.order_by("email")[:RAISED_ONLY]:
        budget = user.budget
        assert budget.limit_micros is not None
        assert budget.spent_micros + budget.reserved_micros <= budget.limit_micros, "nobody spends more than their limit"
    kinds = Counter(LedgerEntry.objects.values_list("kind", flat=True))
    states = Counter(Reservation.objects.values_list("state", flat=True))
    assert min(kinds[kind] for kind in ("title", "tool", "credit", "subscription", "refund", "dispute", "adjust")) > 0
    assert set(states) == {"held", "settled", "released", "expired"}

    for hold in Reservation.objects.filter(state="held"):
        actions.release(hold.pk, "expired")
    assert not Budget.objects.exclude(reserved_micros=0).exists()
    assert audit.prove().first == ""
    logging.getLogger(__name__).info("%s: %s lines, %s holds, %s", crowd.tally, sum(kinds.values()), sum(states.values()), proof)
