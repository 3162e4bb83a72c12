"""A process that lost a turn without knowing it: nothing it still does may take money from the hold of the one that has it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from psycopg_pool import AsyncConnectionPool

from accounts.models import User
from billing import audit
from billing.models import Budget, LedgerEntry, Reservation
from chatai.lib.link import Link
from chatai.lib.postgres import conninfo
from tests.threads.dialogue import ask
from threads import actions
from threads.blocks import MessageDelta, MessageStart
from threads.models import CatalogModel, Turn
from threads.providers import catalog
from threads.providers.base import ModelInfo, Request
from threads.replies import claims, store
from threads.replies.ending import finish_values
from threads.replies.journal import Journal, Line
from threads.replies.purse import Purse
from threads.replies.scribe import Lost, Scribe

MICROS = 100  # for a token of any kind
OUTPUT = 300  # tokens that every call may write
LEASE = 60.0

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def info() -> ModelInfo:
    CatalogModel.objects.filter(slug="demo").update(
        input_price=MICROS, cache_read_price=MICROS, cache_write_price=MICROS, output_price=MICROS, default_max_tokens=OUTPUT
    )
    catalog.forget()
    found = catalog.model_info("demo")
    assert found is not None
    return found


@pytest.fixture
def turn(owner: User, info: ModelInfo) -> Turn:
    """Queued, with a hold for a short conversation."""
    return ask(owner, actions.create_thread(owner), "hello")


class Process:
    """What one generating process does with the turn."""

    def __init__(self, pool: AsyncConnectionPool[Any], claimed: claims.Claimed) -> None:
        self.pool = pool
        self.line = Line(claimed.id, claimed.ring, claimed.epoch)
        self.purse = Purse(claimed, Scribe(claimed, pool, cast(Journal, self), self.line))

    async def renew(self) -> None:
        """What its journal does."""
        link = await Link.connect(conninfo("test"))
        held = await store.renew(link, LEASE, {self.line.turn_id: self.line.epoch})
        await link.close()
        self.line.epoch = held.get(self.line.turn_id, self.line.epoch)

    async def cover(self, info: ModelInfo, size: int) -> int:
        """Before the call of a conversation of so many characters: the tokens of output that it may ask for."""
        messages = [{"role": "user", "content": "x" * size}]
        return (await self.purse.cover(Request(model=info, messages=messages, max_tokens=OUTPUT))).max_tokens

    def call(self, tokens: int) -> None:
        """A question of that length and an answer to it, by the provider's own figures."""
        meter = self.purse.begin()
        meter.add(MessageStart({"usage": {"input_tokens": tokens}}))
        meter.add(MessageDelta({}, {"output_tokens": OUTPUT}))

    async def finish(self, turn: Turn) -> bool:
        values = finish_values("done", None, self.purse.claimed, self.purse, "demo", [], self.line, [], None)
        values |= {"epoch": self.line.epoch, "stop_reason": "end_turn", "iterations": 1, "hit_max_iterations": False}
        async with self.pool.connection() as one:
            return await store.finish(one, values) is not None


def in_processes(work: Callable[[AsyncConnectionPool[Any]], Awaitable[None]]) -> None:
    async def run() -> None:
        async with AsyncConnectionPool(conninfo("test"), min_size=1, max_size=3, kwargs={"autocommit": True}, open=False) as pool:
            await work(pool)

    asyncio.run(run())


async def claim(pool: AsyncConnectionPool[Any]) -> Process:
    async with pool.connection() as one:
        (claimed,) = await claims.claim(one, "first", LEASE, 1)
    return Process(pool, claimed)


async def lapse(pool: AsyncConnectionPool[Any]) -> None:
    async with pool.connection() as one:
        await one.execute("UPDATE threads_turn SET lease_until = now() - interval '1 second'")


async def take_over(pool: AsyncConnectionPool[Any]) -> Process:
    async with pool.connection() as one:
        (claimed,) = await claims.recover(one, "second", LEASE, 10, 1, [])
    return Process(pool, claimed)


def hold(turn: Turn) -> Reservation:
    return Reservation.objects.get(pk=turn.pk)


def check_books(owner: User) -> None:
    assert audit.prove().first == ""
    budget = Budget.objects.get(user=owner)
    assert budget.limit_micros is not None
    assert budget.spent_micros + budget.reserved_micros <= budget.limit_micros


def test_who_lost_the_turn_cannot_change_its_hold(owner: User, turn: Turn, info: ModelInfo) -> None:
    async def work(pool: AsyncConnectionPool[Any]) -> None:
        first = await claim(pool)
        await lapse(pool)
        second = await take_over(pool)
        assert await second.cover(info, 20_000) == OUTPUT
        with pytest.raises(Lost):
            await first.cover(info, 5000)
        second.call(20_000)
        assert await second.finish(turn)

    in_processes(work)
    assert hold(turn).input_tokens > 20_000
    assert LedgerEntry.objects.get(turn_id=turn.pk).cost_micros == (20_000 + OUTPUT) * MICROS <= hold(turn).amount_micros
    check_books(owner)


def test_who_lost_a_turn_that_is_over_is_told_nothing_of_money(owner: User, turn: Turn, info: ModelInfo) -> None:
    async def work(pool: AsyncConnectionPool[Any]) -> None:
        first = await claim(pool)
        await lapse(pool)
        second = await take_over(pool)
        second.call(10)
        assert await second.finish(turn)
        with pytest.raises(Lost):
            await first.cover(info, 5000)

    in_processes(work)
    assert hold(turn).state == "settled"
    check_books(owner)


def test_a_lease_that_merely_ran_out_is_taken_anew_and_the_hold_with_it(owner: User, turn: Turn, info: ModelInfo) -> None:
    async def work(pool: AsyncConnectionPool[Any]) -> None:
        first = await claim(pool)
        await lapse(pool)
        assert await first.cover(info, 5000) == OUTPUT
        assert first.line.epoch == 2
        first.call(5000)
        assert await first.finish(turn)

    in_processes(work)
    assert hold(turn).input_tokens > 5000
    check_books(owner)


def test_who_has_the_turn_goes_on_with_less_when_less_is_left(owner: User, turn: Turn, info: ModelInfo) -> None:
    """A refund lowered the limit meanwhile: the hold becomes smaller in place, and the answer with it."""
    budget = Budget.objects.filter(user=owner)

    async def work(pool: AsyncConnectionPool[Any]) -> None:
        first = await claim(pool)
        assert await first.cover(info, 20_000) == OUTPUT
        held = first.purse.held or 0
        async with pool.connection() as one:
            await one.execute("UPDATE billing_budget SET limit_micros = %s WHERE user_id = %s", (held - MICROS, owner.pk))
        assert await first.cover(info, 20_001) == OUTPUT - 2
        assert first.purse.held == held - MICROS

    in_processes(work)
    assert hold(turn).amount_micros == budget.get().reserved_micros == budget.get().limit_micros


def test_who_takes_a_turn_over_knows_the_hold_as_it_was_left(owner: User, turn: Turn, info: ModelInfo) -> None:
    """The earlier owner's last change of it is committed while the turn is taken over."""
    known: list[int | None] = []

    async def work(pool: AsyncConnectionPool[Any]) -> None:
        await claim(pool)
        await lapse(pool)
        async with pool.connection() as earlier, pool.connection() as watching:
            async with earlier.transaction():
                await earlier.execute("UPDATE billing_reservation SET amount_micros = 4242")
                taking = asyncio.create_task(take_over(pool))
                while not taking.done() and not await waiting(watching):
                    await asyncio.sleep(0.01)
            known.append((await taking).purse.held)

    in_processes(work)
    assert known == [4242]


async def waiting(one: store.Connection) -> bool:
    cursor = await one.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return bool((await cursor.fetchone() or (0,))[0])
