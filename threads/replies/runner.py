"""The generating process: claims queued turns, works on many at once, survives whatever dies around it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import OperationalError as DjangoOperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from chatai.lib import garbage, hints
from chatai.lib.ids import uuid7
from chatai.lib.pacing import not_before
from chatai.lib.postgres import conninfo
from threads.providers import catalog
from threads.providers.gone import GoneProvider, gone_info
from threads.replies import claims, store
from threads.replies.context import Context
from threads.replies.given import Given
from threads.replies.journal import Journal
from threads.replies.turn import LiveTurn
from threads.starting import GIVEN_SECONDS

if TYPE_CHECKING:
    from threads.providers.base import ModelInfo, Provider
    from threads.replies.claims import Claimed

logger = logging.getLogger(__name__)

POLL_EVERY = 0.5  # seconds; work and stops that no hint told of
BEAT_EVERY = 1.0
MODELS_FRESH = 5.0
CLAIM_AT_ONCE = 100
GAP_PER_TURN, LONGEST_GAP = 0.0004, 0.030  # seconds between claims, for each live turn and at most: several turns at once then
POOL_SIZE = 8
DATABASE_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, DjangoOperationalError)


class Runner:
    """One `runreplies` process."""

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()[:40]}:{os.getpid()}:{str(uuid7())[-8:]}"
        self.pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            conninfo("chatai-replies"),
            min_size=2,
            max_size=POOL_SIZE,
            open=False,
            kwargs={"autocommit": True, "prepare_threshold": 1},
        )
        self.context = Context(self.pool, self._task_model)
        self.journal = Journal(conninfo("chatai-journal"))
        self.live: dict[UUID, LiveTurn] = {}
        self.wake = asyncio.Event()
        self.resume = asyncio.Event()
        self.queued = True  # something may wait in the queue
        self.given = Given(self.name)
        self.draining = False
        self.takes = False  # as the last beat said
        self.beat = asyncio.Event()
        self.models: dict[str, ModelInfo | None] = {}
        self.models_read_at = 0.0

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then drain."""
        hints.bind_loop()
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await self.pool.open(wait=False)
        await self._guarded(self._warm_up)
        garbage.seldom()
        tasks = [
            asyncio.create_task(work(), name=name)
            for name, work in (
                ("journal", self.journal.run),
                ("claim", self._claim_always),
                ("hints", self._listen),
                ("renew", lambda: self._every(settings.LEASE_SECONDS / 3, self.journal.renew)),
                ("lease", lambda: self._every(GIVEN_SECONDS / 3, self._lease)),
                ("recover", lambda: self._whenever(self.resume, BEAT_EVERY, self._recover)),
                ("stops", lambda: self._every(POLL_EVERY, self._look_for_stops)),
                ("beat", lambda: self._whenever(self.beat, BEAT_EVERY, self._beat)),
            )
        ]
        logger.info("replies ready as %s", self.name)
        finished, _ = await asyncio.wait([*tasks, asyncio.create_task(stopped.wait())], return_when=asyncio.FIRST_COMPLETED)
        for task in finished.intersection(tasks):
            task.result()  # a broken loop must end the process, visibly, not leave half of it running
        await self._drain()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await catalog.close_providers()
        await self.given.close()
        await self.pool.close(timeout=1)

    async def _warm_up(self) -> None:
        """Load the adapters in use before the first turn: an SDK's import would stall every other stream."""
        for row in await database_sync_to_async(catalog.offered)():
            if info := await self._model(row.slug):
                catalog.provider_for(info)

    # --- claiming ---------------------------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many turns may be started now."""
        return 0 if self.draining else min(settings.REPLIES_MAX_TURNS - len(self.live), CLAIM_AT_ONCE)

    async def _claim_always(self) -> None:
        while True:
            self.wake.clear()
            claimed_at = time.monotonic()
            await self._guarded(self._take)
            if self.queued and await self._guarded(self._claim) == CLAIM_AT_ONCE:
                self.queued = True
                continue
            try:
                async with asyncio.timeout(POLL_EVERY):
                    await self.wake.wait()
            except TimeoutError:
                self.queued = True
                await self._guarded(self.given.look)
            await not_before(claimed_at + min(LONGEST_GAP, GAP_PER_TURN * len(self.live)))

    async def _take(self) -> None:
        await self._start(await self.given.take(self.room))

    async def _lease(self) -> None:
        await self.journal.renew(self.given.to_renew())

    async def _claim(self) -> int:
        self.queued = False
        if self.room <= 0:
            return 0
        async with self.pool.connection() as connection:
            claimed = await claims.claim(connection, self.name, settings.LEASE_SECONDS, self.room)
        await self._start(claimed)
        # This leaves before any of them has run: pages draw the questions while the requests are made.
        hints.announce("live", "turns", *(f"{turn.thread_id}/{turn.id}" for turn in claimed))
        return len(claimed)

    async def _recover(self) -> None:
        if self.room <= 0:
            return
        suspects = 0 if any(live.suspect for live in self.live.values()) else 1
        async with self.pool.connection() as connection:
            claimed = await claims.recover(connection, self.name, settings.LEASE_SECONDS, self.room, suspects, list(self.live))
        for turn in claimed:
            if turn.attempts - turn.waits > 1:
                logger.warning("turn %s taken over (attempt %s)", turn.id, turn.attempts - turn.waits)
        await self._start(claimed)
        hints.announce("live", "turns", *(f"{turn.thread_id}/{turn.id}" for turn in claimed))

    async def _start(self, claimed: list[Claimed]) -> None:
        for turn in claimed:
            info = await self._model(turn.model)
            provider = catalog.provider_for(info) if info else GoneProvider()
            live = LiveTurn(turn, info or gone_info(turn.model), provider, self.journal, self.context)
            self.live[turn.id] = live
            live.task = asyncio.create_task(live.run(), name=f"turn {turn.id}")
            live.task.add_done_callback(partial(self._ended, live))
        if self.takes and self._is_half_full():
            self.beat.set()  # whoever admits turns shall know

    def _is_half_full(self) -> bool:
        """Then turns are queued, and claimed by whoever has room, and not given to this process any more."""
        return 2 * len(self.live) >= settings.REPLIES_MAX_TURNS

    def _ended(self, live: LiveTurn, task: asyncio.Task[None]) -> None:
        turn_id = live.claimed.id
        full = self.room <= 0
        if self.live.get(turn_id) is live:
            del self.live[turn_id]
        if live.followed or full:
            self.queued = True
            self.wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease runs out and the turn is taken over: nothing is lost, but somebody should read this.
            logger.error("turn %s broke", turn_id, exc_info=error)

    async def _model(self, slug: str) -> ModelInfo | None:
        if time.monotonic() - self.models_read_at > MODELS_FRESH:
            self.models.clear()
            self.models_read_at = time.monotonic()
        if slug not in self.models:
            self.models[slug] = await database_sync_to_async(catalog.model_info)(slug)  # which also drops a connection that broke
        return self.models[slug]

    async def _task_model(self) -> tuple[ModelInfo, Provider] | None:
        info = await self._model(await database_sync_to_async(catalog.task_model)())
        return (info, catalog.provider_for(info)) if info else None

    # --- looking around ---------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        async for kind, ids in hints.listen("replies"):
            if kind == "work":
                self.queued = True
                self.wake.set()
            elif kind == "given":
                if self.given.hear(ids):
                    self.wake.set()
            elif kind == "resume":
                self.resume.set()
            elif kind == "stop":
                for name in ids:
                    self._stop(UUID(name))
            elif kind == "answers":
                for name in ids:
                    if live := self.live.get(UUID(name)):
                        live.loop.knock()

    async def _look_for_stops(self) -> None:
        if self.live:
            async with self.pool.connection() as connection:
                for turn_id in await store.stops(connection, self.name):
                    self._stop(turn_id)

    def _stop(self, turn_id: UUID) -> None:
        if live := self.live.get(turn_id):
            live.cancel("stop")

    async def _beat(self) -> None:
        takes = not self.draining and not self._is_half_full()
        async with self.pool.connection() as connection:
            await store.beat(connection, self.name, len(self.live), settings.REPLIES_MAX_TURNS, self.draining, takes)
        self.takes = takes

    async def _every(self, seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
        while True:
            await self._guarded(work)
            await asyncio.sleep(seconds)

    async def _whenever(self, event: asyncio.Event, seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
        """When the event says so, and every few seconds without it."""
        while True:
            event.clear()
            await self._guarded(work)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await event.wait()

    async def _guarded(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """A database that is away is waited for; anything else is a fault and ends the process."""
        try:
            return await work()
        except DATABASE_ERRORS as error:
            logger.warning("waiting for PostgreSQL: %s", type(error).__name__)
            await asyncio.sleep(0.5)
            await self.pool.check()
            return 0

    # --- leaving ----------------------------------------------------------------------------------------------------------

    async def _give_back(self) -> None:
        """Be given no more turns, and keep none that was not started."""
        await self._beat()
        async with self.pool.connection() as connection:
            await claims.hand_back(connection, self.name, but=self.live)
        hints.announce("replies", "resume")

    async def _drain(self) -> None:
        """Claim nothing new, give running turns their time, hand the rest back by ending the lease."""
        self.draining = True
        logger.info("draining: %s turns are running", len(self.live))
        await self._guarded(self._give_back)
        tasks = [live.task for live in self.live.values() if live.task]
        if tasks:
            await asyncio.wait(tasks, timeout=settings.DRAIN_SECONDS)
        left = list(self.live.values())
        for live in left:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.journal.flush(live.line)
            live.cancel("drain")
        if left:
            await asyncio.wait([live.task for live in left if live.task], timeout=2)
            async with self.pool.connection(timeout=2) as connection:
                await claims.hand_back(connection, self.name)
            hints.announce("replies", "resume")
            await asyncio.sleep(0.1)  # the hint leaves before the loop does
        logger.info("drained: %s turns handed back", len(left))
