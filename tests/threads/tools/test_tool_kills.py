"""Processes that die between a call and its result. Afterwards: no call without a result, no history that a provider refuses, and no
effect that happened twice."""

import asyncio
import contextlib
import os
import random
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from accounts.models import User
from tests.threads.tools.harness import Model, answer, ask, executing, process, rows, tools
from tests.threads.tools.test_loop import sound
from threads.models import Thread, ToolCall, Turn
from threads.replies import store_tools
from threads.replies.turn import LiveTurn
from tools.registry import Use

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(3600)]

KILLS = int(os.environ.get("TOOL_KILLS", "40"))  # 500 for the figure in the closing note
MOST_LIVES = 60


class Bench:
    """What the tools of a turn have done, seen from outside of the processes."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.effects: Counter[str] = Counter()
        self.looks = 0
        self.inside = asyncio.Event()

    async def once(self, arguments: dict[str, Any], use: Use) -> Any:
        """Has its effect at some moment of its time; nobody may have it twice."""
        self.inside.set()
        await asyncio.sleep(self.dice.random() * 0.01)
        self.effects[use.caller.tool_use_id] += 1
        await asyncio.sleep(self.dice.random() * 0.01)
        return "done"

    async def look(self, arguments: dict[str, Any], use: Use) -> Any:
        self.looks += 1
        self.inside.set()
        await asyncio.sleep(self.dice.random() * 0.02)
        return "seen"


async def lives(model: Model, bench: Bench, kills: int) -> int:
    """Work on the one turn there is, dying `kills` times; how often it died."""
    died = 0
    for _ in range(MOST_LIVES):
        async with process(model) as one:
            bench.inside.clear()
            live = await one.take()
            if live is None:
                return died
            assert live.task is not None
            if died >= kills:
                await live.task
                continue
            # Some die while a tool runs, some at whatever moment comes.
            if bench.dice.random() < 0.6:
                waits = {asyncio.ensure_future(bench.inside.wait()), live.task}
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(bench.dice.random() * 0.03)
            died += not live.task.done()
            await one.die()
    raise AssertionError("the turn does not end")


def test_nothing_is_doubled_and_nothing_is_left_open_whenever_a_process_dies(owner: User, thread: Thread, settings: Any) -> None:
    settings.MAX_ATTEMPTS = 10_000
    settings.LOGGING_CONFIG = None
    dice = random.Random(5)
    total, endings, interrupted, refused = 0, Counter[str](), 0, 0
    ids: list[UUID] = []
    while total < KILLS:
        bench = Bench(dice)
        model = Model(
            ["First.", executing(("once", {"what": "a"}), ("look", {})), executing(("once", {"what": "b"}))],
            [executing(("once", {"what": "c"}), ("once", {"what": "d"}))],
            ["All done."],
        )
        turn = ask(owner, thread)
        ids.append(turn.pk)
        with tools(once=(bench.once, {}), look=(bench.look, {"repeatable": True})):
            total += asyncio.run(lives(model, bench, dice.randint(1, 4)))
        connection.close()
        sound(turn, model)
        refused += len(model.refused)
        endings[turn.status] += 1
        interrupted += ToolCall.objects.filter(turn=turn, error_kind="interrupted").count()
        assert max(bench.effects.values(), default=0) <= 1, "no effect twice"
        done = {call.tool_use_id for call in ToolCall.objects.filter(turn=turn, name="once", error_kind="")}
        assert done <= set(bench.effects), "what is told as done was done"
    print(f"\n{total} kills in {len(ids)} turns: endings {dict(endings)}, interrupted calls {interrupted}, refused histories {refused}")
    assert set(endings) <= {"done", "interrupted"}
    assert not Turn.objects.filter(finished_at=None).exists()


def test_nothing_is_carried_out_before_the_journal_says_what_was_asked_for(owner: User, thread: Thread) -> None:
    """Who takes over knows from the journal alone what the model had said, and would ask it again for what is done already."""
    bench = Bench(random.Random(1))
    model = Model(["First.", executing(("once", {"what": "a"}))], ["All done."])
    turn = ask(owner, thread)

    async def dies_before_it_writes() -> None:
        async with process(model) as one:
            one.writer.cancel()
            one.journal.away = True  # as it finds out itself when it cannot write
            live = await one.take()
            assert live is not None
            while live.partial.stop_reason is None:
                await asyncio.sleep(0.01)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(bench.inside.wait(), 0.3)
            await one.die()

    with tools(once=(bench.once, {})):
        asyncio.run(dies_before_it_writes())
        assert (bench.effects.total(), ToolCall.objects.count()) == (0, 0)
        answer(model)
    sound(turn, model)
    assert (turn.status, list(bench.effects.values())) == ("done", [1])


def test_a_stop_while_results_are_stored_stores_them_once(owner: User, thread: Thread, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(random.Random(1))
    model = Model(["First.", executing(("once", {"what": "a"}))], ["All done."])
    turn = ask(owner, thread)
    lives_now: list[LiveTurn] = []
    follow = store_tools.follow

    async def stopped_behind(connection: Any, values: dict[str, Any]) -> dict[UUID, int] | None:
        seqs = await follow(connection, values)
        lives_now[0].cancel("stop")
        await asyncio.sleep(0.01)
        return seqs

    async def work() -> None:
        async with process(model) as one:
            live = await one.take()
            assert live is not None
            assert live.task is not None
            lives_now.append(live)
            await live.task

    monkeypatch.setattr(store_tools, "follow", stopped_behind)
    with tools(once=(bench.once, {})):
        asyncio.run(work())
    connection.close()
    sound(turn, model)
    assert (turn.status, [role for role, _ in rows(turn)]) == ("stopped", ["user", "assistant", "user", "assistant"])
