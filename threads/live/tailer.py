"""One per web process: follows everything its sockets watch, with a few statements per tick, and hands out what changed.

Woken by hints; without them it looks by itself, so a lost hint costs a quarter of a second and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg

from chatai.lib import hints
from chatai.lib.pacing import not_before
from chatai.lib.postgres import conninfo
from threads.live.drawing import drawing
from threads.live.feed import Feed, Reader, Seen
from threads.live.growing import Growing
from threads.live.news import News
from threads.live.watcher import Watcher
from threads.models import Thread

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.25  # seconds, for events of running turns
LOOK_AROUND_EVERY = 1.0  # for threads and turns that changed
GAP_PER_TURN, LONGEST_GAP = 0.0005, 0.040  # seconds between looks: with many turns, fewer looks that find more
LONGEST_STEP = 0.020  # of drawing for pages, before requests have their turn
CHECK_EVERY = 30.0  # for sessions that ended
SLACK = timedelta(seconds=10)  # a row can be committed this much later than the time it carries
LATEST = timedelta(seconds=2)  # the same, where a page that loads anew in vain would be told so again
READ_DELAY = 0.3  # for what was read: written for many threads at once, and not while something new is to be shown
LONGEST_READ_DELAY = 2.0  # while turns start one after the other, whose first words this would be in the way of
QUEUED_PATIENCE = 0.2  # seconds
MOST_TURNS = 60  # a page that missed more loads anew
MOST_ROWS = 100
# An application may close with 1000 or 3000 to 4999 only.
CLOSE_SIGNED_OUT, CLOSE_GONE, CLOSE_SLOW, CLOSE_AGAIN = 4401, 4404, 4408, 4012


class Tailer:
    def __init__(self) -> None:
        self.feed = Feed(conninfo("chatai-tailer"))
        self.watchers: set[Watcher] = set()
        self.by_thread: dict[UUID, set[Watcher]] = defaultdict(set)
        self.by_user: dict[UUID, set[Watcher]] = defaultdict(set)
        self.growing: dict[UUID, Growing] = {}
        self.running: dict[UUID, set[UUID]] = defaultdict(set)  # thread → its turns in `growing`
        self.thread_of: dict[UUID, UUID] = {}  # of each turn in `growing`
        self.seen: dict[UUID, dict[UUID, datetime]] = defaultdict(dict)  # thread → turn → changed_at as last shown
        self.threads_seen: dict[UUID, datetime] = {}
        self.wake = asyncio.Event()
        self.news = News()
        self.arriving: set[UUID] = set()  # turns that the look under way was told of
        self.read: dict[tuple[UUID, UUID], int] = {}  # (thread, user) → sequence number that is on a screen
        self.read_since = 0.0  # when the first of them was noted
        self.in_use = asyncio.Lock()  # one reader of the feed at a time
        self.tasks: list[asyncio.Task[None]] = []
        self.followers: set[Reader] = set()  # besides `growing`
        self.bells: dict[UUID, set[asyncio.Event]] = defaultdict(set)  # thread → who waits for a change of it

    # --- sockets ----------------------------------------------------------------------------------------------------------

    async def add(self, watcher: Watcher, since: datetime) -> None:
        """Watch first, then read what the page may have missed since it was drawn."""
        self._start()
        watcher.fresh_from = since + SLACK - LATEST
        self.watchers.add(watcher)
        self.by_user[watcher.user_id].add(watcher)
        if watcher.thread_id:
            self.by_thread[watcher.thread_id].add(watcher)
        async with self.in_use:
            await self._catch_up(watcher, since)
        await watcher.flush()

    def _start(self) -> None:
        if not self.tasks:
            hints.bind_loop()
            self.tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._listen())]

    def remove(self, watcher: Watcher) -> None:
        self.watchers.discard(watcher)
        _discard(self.by_user, watcher.user_id, watcher)
        if watcher.thread_id:
            _discard(self.by_thread, watcher.thread_id, watcher)
            if watcher.thread_id not in self.by_thread:
                self._forget(watcher.thread_id)

    def _forget(self, thread_id: UUID) -> None:
        self.seen.pop(thread_id, None)
        for turn_id in self.running.pop(thread_id, ()):
            self._no_longer_growing(turn_id)

    def _no_longer_growing(self, turn_id: UUID) -> None:
        self.growing.pop(turn_id, None)
        self.thread_of.pop(turn_id, None)

    def mark_read(self, watcher: Watcher, seq: int) -> None:
        """The page of `watcher` has the message of that number on screen. Written a moment later, also when the page has gone."""
        if watcher.thread_id is not None:
            if not self.read:
                self.read_since = time.monotonic()
            key = watcher.thread_id, watcher.user_id
            self.read[key] = max(seq, self.read.get(key, 0))

    async def _catch_up(self, watcher: Watcher, since: datetime) -> None:
        threads = await self.feed.threads_since([watcher.user_id], since, MOST_ROWS)
        recent = await self.feed.turns_since({watcher.thread_id: since}, 0, MOST_TURNS) if watcher.thread_id else []
        if (len(threads) == MOST_ROWS and await watcher.reload(max(thread.changed_at for thread in threads))) or (
            len(recent) == MOST_TURNS and await watcher.reload(max(seen.turn.changed_at for seen in recent))
        ):
            return
        for thread in threads:
            watcher.show_row(thread)
        if watcher.thread_id is None:
            return
        changed = {seen.turn.id: seen for seen in recent}
        changed |= {seen.turn.id: seen for seen in await self.feed.unfinished(watcher.thread_id, MOST_TURNS)}
        await self._show(list(changed.values()), {watcher.thread_id: {watcher}})

    # --- other readers ----------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def reads(self) -> AsyncIterator[Feed]:
        """The feed for a few statements of one's own."""
        async with self.in_use:
            yield self.feed

    @contextlib.asynccontextmanager
    async def reading(self, reader: Reader) -> AsyncIterator[None]:
        """Feed `reader` with what is there and what comes, while the block runs."""
        self._start()
        self.followers.add(reader)
        self.news.events.add(reader.turn_id)
        self.wake.set()
        try:
            yield
        finally:
            self.followers.discard(reader)

    @contextlib.contextmanager
    def bell(self, thread_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the thread changes, while the block runs."""
        self._start()
        bell = asyncio.Event()
        self.bells[thread_id].add(bell)
        try:
            yield bell
        finally:
            self.bells[thread_id].discard(bell)
            if not self.bells[thread_id]:
                del self.bells[thread_id]

    # --- the loop ---------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        async for kind, ids in hints.listen("live"):
            self.news.take(kind, ids, {*self.growing, *self.arriving, *(follower.turn_id for follower in self.followers)})
            for thread_id in self.bells.keys() & self.news.changed_threads:
                for bell in self.bells[thread_id]:
                    bell.set()
            if self.news:
                self.wake.set()

    async def _run(self) -> None:
        looked = looked_around = checked = 0.0
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self.wake.wait()
                    await not_before(looked + min(LONGEST_GAP, GAP_PER_TURN * len(self.growing)))
                quiet = False
            except TimeoutError:
                quiet = True
            self.wake.clear()
            news, self.news = self.news, News()
            if not self.watchers and not self.followers and not self.read:
                continue
            looked = time.monotonic()
            try:
                async with self.in_use:
                    if around := looked - looked_around > LOOK_AROUND_EVERY:
                        looked_around = looked
                    await self._look(news, around, quiet)
                    if news.sessions or looked - checked > CHECK_EVERY:
                        checked = looked
                        await self._check_sessions()
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                logger.warning("tailer waits for PostgreSQL: %s", type(error).__name__)
                await asyncio.sleep(LOOK_EVERY)
            except Exception:  # the next round starts from the database again
                logger.exception("tailer")
                await asyncio.sleep(LOOK_EVERY)
            await self._deliver()

    async def _look(self, news: News, around: bool, quiet: bool) -> None:
        """With `around`, at everything that may have changed lately; else at what hints named."""
        self.arriving = set(news.turns)
        since = datetime.now(UTC) - SLACK
        unwatched = {thread_id for thread_id in news.turns.values() if thread_id not in self.by_thread}
        if turns := [turn_id for turn_id, thread_id in news.turns.items() if thread_id not in unwatched]:
            changed = await self.feed.turns(turns)
            await self._threads_changed(one.thread for one in changed)
            await self._show([one for one in changed if len(one.siblings) == 1], self.by_thread)
            news.threads.update(one.turn.thread_id for one in changed if len(one.siblings) > 1)  # it comes as another one goes
        if around:
            await self._threads_changed(await self.feed.threads_since(self.by_user, since, 10 * MOST_ROWS))
        elif rows := news.rows | news.threads | unwatched:
            await self._threads_changed(await self.feed.threads(rows))
        if watched := self.by_thread.keys() if around else news.threads & self.by_thread.keys():
            known = self._known(watched, since)
            changed = await self.feed.turns_since(dict.fromkeys(watched, since), QUEUED_PATIENCE, MOST_TURNS * 10, known)
            await self._show(await self._without_far_moves(changed), self.by_thread)
        readers: list[Reader] = [*self.growing.values(), *self.followers]
        await self._read([one for one in readers if around or quiet or one.turn_id in news.events])
        if self.read and (quiet or time.monotonic() - self.read_since > (LONGEST_READ_DELAY if news.turns else READ_DELAY)):
            await self._write_read()

    def _known(self, watched: Iterable[UUID], since: datetime) -> dict[UUID, datetime]:
        """What was shown of turns that changed after `since`; the others will not be asked for again, and are forgotten."""
        known: dict[UUID, datetime] = {}
        for thread_id in watched:
            if seen := self.seen.get(thread_id):
                recent = self.seen[thread_id] = {turn_id: at for turn_id, at in seen.items() if at > since}
                known |= recent
        return known

    async def _write_read(self) -> None:
        read = dict(self.read)
        await self._threads_changed(await self.feed.mark_read(read))
        self.read = {key: seq for key, seq in self.read.items() if seq > read.get(key, 0)}

    async def _threads_changed(self, threads: Iterable[Thread]) -> None:
        for thread in threads:
            await self._thread_changed(thread)

    async def _thread_changed(self, thread: Thread) -> None:
        if self.threads_seen.get(thread.id) == thread.changed_at:
            return
        self.threads_seen[thread.id] = thread.changed_at
        if len(self.threads_seen) > 10_000:
            self.threads_seen.clear()
        for watcher in self.by_user.get(thread.user_id, ()):
            watcher.show_row(thread)
        if thread.deleted_at is not None:
            for watcher in list(self.by_thread.get(thread.id, ())):
                await watcher.flush()
                await watcher.close(CLOSE_GONE)

    async def _without_far_moves(self, changed: list[Seen]) -> list[Seen]:
        """Leaves out threads whose path moved by more turns than are worth sending: their pages load anew."""
        unseen = [seen.turn for seen in changed if self.seen[seen.turn.thread_id].get(seen.turn.id) != seen.turn.changed_at]
        far = {thread_id for thread_id, count in Counter(turn.thread_id for turn in unseen).items() if count > MOST_TURNS}
        for turn in unseen:
            if turn.thread_id in far:
                self.seen[turn.thread_id][turn.id] = turn.changed_at
        for thread_id in far:
            newest = max(turn.changed_at for turn in unseen if turn.thread_id == thread_id)
            for watcher in self.by_thread[thread_id]:
                await watcher.reload(newest)
        return [seen for seen in changed if seen.turn.thread_id not in far]

    async def _show(self, changed: list[Seen], audience: Mapping[UUID, set[Watcher]]) -> None:
        """Draw turns that are new to `audience` (all watchers of a thread, or the one that has just come)."""
        everyone = audience is self.by_thread
        fresh = [one for one in changed if not everyone or self.seen[one.turn.thread_id].get(one.turn.id) != one.turn.changed_at]
        fresh.sort(key=lambda one: not one.turn.on_path)  # what comes before what goes: a page is never empty in between
        for turn in (one.turn for one in fresh):
            if everyone:
                self.seen[turn.thread_id][turn.id] = turn.changed_at
            if turn.live and turn.ring is not None:
                self.running[turn.thread_id].add(turn.id)
                self.thread_of[turn.id] = turn.thread_id
                self.growing.setdefault(turn.id, Growing(turn.id, turn.ring)).ring = turn.ring  # it moves while a person is waited for
            else:
                self.running[turn.thread_id].discard(turn.id)
                self._no_longer_growing(turn.id)
        if not everyone:  # a look reads on by itself; a page that comes is drawn as it is now
            await self._read(growing for one in fresh if (growing := self.growing.get(one.turn.id)) and growing.next_index == 0)
        for one in fresh:
            draw, growing = drawing(one, self.growing), self.growing.get(one.turn.id)
            for watcher in audience.get(one.turn.thread_id, ()):
                watcher.show_section(one.turn.id, draw, growing)

    async def _read(self, readers: Iterable[Reader]) -> None:
        wanted = [one for one in readers if not one.ended]
        if wanted:
            for reader, payloads in await self.feed.events(wanted):
                for watcher in self.by_thread.get(self.thread_of.get(reader.turn_id, reader.turn_id), ()):
                    watcher.stale = True
                try:
                    reader.feed(payloads)
                except Exception:  # one turn that cannot be drawn must not stop all the others
                    logger.exception("turn %s cannot be followed", reader.turn_id)
                    reader.ended = True

    async def _deliver(self) -> None:
        paused = time.monotonic()
        for watcher in list(self.watchers):
            if time.monotonic() - paused > LONGEST_STEP:
                await asyncio.sleep(0)
                paused = time.monotonic()
            if watcher not in self.watchers:  # it went while requests had their turn
                continue
            try:
                if watcher.silent or watcher.overwhelmed:
                    await watcher.close(CLOSE_SLOW)
                elif watcher.stale:
                    await watcher.flush()
            except Exception:  # one page that cannot be served must not keep the others waiting; it connects again
                logger.exception("a frame could not be sent")
                await watcher.close(CLOSE_AGAIN)

    async def _check_sessions(self) -> None:
        watchers = list(self.watchers)  # those that come while we ask were let in just now
        alive = await self.feed.sessions([watcher.session_key for watcher in watchers])
        passwords = await self.feed.passwords([watcher.user_id for watcher in watchers])
        for watcher in watchers:
            if watcher.session_key not in alive:
                await watcher.close(CLOSE_SIGNED_OUT)
            elif passwords.get(watcher.user_id) != watcher.password:
                await watcher.close(CLOSE_AGAIN)  # signed in anew, or refused


def _discard(index: dict[UUID, set[Watcher]], key: UUID, watcher: Watcher) -> None:
    index[key].discard(watcher)
    if not index[key]:
        del index[key]


_tailers: dict[asyncio.AbstractEventLoop, Tailer] = {}


def tailer() -> Tailer:
    """The tailer of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _tailers:
        _tailers[loop] = Tailer()
    return _tailers[loop]
