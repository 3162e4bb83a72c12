"""One process that moves money at random, and breaks off at random: `python -m tests.billing.postings SEED`, until it is killed.

Prints a character for each attempt: `.` for one that went through, `x` for one that broke off, `D` for a deadlock.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import django
from django.db import DatabaseError, InterfaceError, connection, transaction
from psycopg.errors import DeadlockDetected

RAISED_ONLY = 3  # accounts of which no limit is ever lowered: the first of them
PRICES = [
    {"input": "3", "output": "15", "cache_read": "0.30", "cache_write": "3.75"},
    {"input": "0.1", "output": "0.37", "cache_read": "0.01", "cache_write": "0.125"},
    {"input": "2", "output": "10", "cache_read": "0.2", "cache_write": "2.5", "long_above": "900", "long_input": "4"}
    | {"long_output": "15", "long_cache_read": "0.4", "long_cache_write": "5"},
]


class Poster:
    def __init__(self, seed: int) -> None:
        from accounts.models import User

        self.dice = random.Random(seed)
        self.users = list(User.objects.order_by("email"))
        self.keys = {user.pk: [None, *user.api_keys.values_list("pk", flat=True)] for user in self.users}
        self.moves: list[tuple[int, Callable[[], object]]] = [
            (30, self.reserve),
            (24, self.settle),
            (8, self.hold_anew),
            (6, self.release),
            (6, self.expire),
            (10, self.credit),
            (5, self.take_back),
            (5, self.adjust),
            (4, self.cap),
        ]

    def attempt(self) -> str:
        """One movement; some are taken back, or lose their connection before they are committed."""
        try:
            fate = self.dice.random()
            with transaction.atomic():
                self.move()
                if fate < 0.08:
                    transaction.set_rollback(True)
                elif fate < 0.12:
                    connection.connection.pgconn.finish()  # as a process that dies at this very moment
            return "x" if fate < 0.12 else "."
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            return "D" if isinstance(error.__cause__, DeadlockDetected) else "x"

    def move(self) -> None:
        weights, moves = zip(*self.moves, strict=True)
        self.dice.choices(moves, weights)[0]()

    def reserve(self) -> None:
        from billing import actions

        actions.reserve_side_call(self._call(uuid4(), self.dice.choice(self.users).pk, self.dice.choice(PRICES)))

    def _call(self, hold_id: UUID, user_id: UUID, price: dict[str, str]) -> Any:
        from billing.side_calls import SideCall

        kind, key_id = self.dice.choice(["title", "summary", "embedding", "tool"]), self.dice.choice(self.keys[user_id])
        read, written = self.dice.randint(1, 2000), self.dice.randint(1, 500)
        return SideCall(kind, user_id, key_id, None, "demo", f"model-{PRICES.index(price)}", price, read, written, id=hold_id)

    def _open(self) -> Any | None:
        """A hold that is open, also one of another process."""
        from billing.models import Reservation
        from billing.side_calls import SideCall

        holds = Reservation.objects.filter(state="held").select_related("account", "key", "price_version")
        found = list(holds.order_by("lease_until")[self.dice.randrange(20) :][:1])
        if not found:
            return None
        hold = found[0]
        assert hold.account.user_id
        key_id, version = hold.key.key_id if hold.key else None, hold.price_version
        tokens = (hold.input_tokens, hold.max_tokens)
        return SideCall(hold.kind, hold.account.user_id, key_id, None, "demo", version.model, version.price, *tokens, id=hold.pk)

    def settle(self) -> None:
        """By what a provider may say it counted: nothing, less than was held, and now and then more."""
        from billing import actions

        if call := self._open():
            most = call.input_tokens * self.dice.choice([1, 1, 1, 1, 3])
            read = self.dice.randint(0, most)
            usage = {"input_tokens": most - read, "cache_read_input_tokens": read, "output_tokens": self.dice.randint(0, call.max_tokens)}
            actions.settle_side_call(call, self.dice.choice([usage, usage, usage, {**usage, "estimated": 1}, {}]))

    def hold_anew(self) -> None:
        """Another amount for a hold, whatever became of it meanwhile."""
        from dataclasses import replace

        from billing import actions

        if call := self._open():
            actions.reserve_side_call(replace(call, input_tokens=self.dice.randint(1, 2000), max_tokens=self.dice.randint(1, 500)))

    def release(self) -> None:
        from billing import actions

        if call := self._open():
            actions.release(call.id)

    def expire(self) -> None:
        from billing import actions

        if call := self._open():
            actions.release(call.id, "expired")

    def _source(self) -> str:
        """Half of them were posted before."""
        return f"payment:{self.dice.randrange(200)}" if self.dice.random() < 0.5 else f"payment:{uuid4()}"

    def credit(self) -> None:
        from billing import actions

        kind = self.dice.choice(["credit", "subscription"])
        actions.credit(self.dice.choice(self.users), self.dice.randint(1, 9000), kind, self._source(), "A gift")

    def take_back(self) -> None:
        from billing import actions

        user = self.dice.choice(self.users[RAISED_ONLY:])
        actions.credit(user, self.dice.randint(1, 9000), self.dice.choice(["refund", "dispute"]), self._source(), "Taken back")

    def adjust(self) -> None:
        from billing import actions

        user = self.dice.choice(self.users[RAISED_ONLY:])
        actions.adjust(user, self.dice.choice([None, 0, self.dice.randint(0, 100_000)]), self._source(), "Because")

    def cap(self) -> None:
        from billing import actions

        key_id = self.dice.choice(self.keys[self.dice.choice(self.users).pk])
        if key_id is not None:
            actions.cap_key(key_id, self.dice.choice([None, 0, self.dice.randint(0, 100_000)]))


def main() -> None:
    django.setup()
    poster = Poster(int(sys.argv[1]))
    while True:
        sys.stdout.write(poster.attempt())
        sys.stdout.flush()


if __name__ == "__main__":
    main()
