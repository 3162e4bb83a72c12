"""Prepared statements on the event loop, by libpq itself: for the few that a person waits for, or that come with every tick.

psycopg's own way for them (a cursor, a generator, a reader of the socket for each step) costs four times the processor time of this, and
after a pause, when all of that code has to be fetched again, 0.6 ms a statement instead of 0.3.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.abc import PyFormat
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

from chatai.lib.prepared import Statement

LOOK_AGAIN = 0.5  # seconds
FINE = pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK


class Prepared(NamedTuple):
    name: bytes
    values: Any  # psycopg's Transformer: from Python and back
    formats: list[PyFormat]


class Link:
    """One connection, in autocommit. Any number of tasks may use it: one statement goes after the other.

    Methods raise psycopg.Error; when PostgreSQL has gone that is an OperationalError, and the link `closed` from then on.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection
        self.pgconn = connection.pgconn
        self.loop = asyncio.get_running_loop()
        self.prepared: dict[Statement, Prepared] = {}
        self.numbers = itertools.count()
        self.asked: asyncio.Future[Any] | None = None  # until the last of its results is there, also when nobody waits for it any more
        self.waiting: list[asyncio.Future[None]] = []
        self.result: Any = None
        self.closed = False
        self.socket = self.pgconn.socket
        self.loop.add_reader(self.socket, self._read)
        self.again = self.loop.call_later(LOOK_AGAIN, self._look_again)

    @classmethod
    async def connect(cls, conninfo: str) -> Link:
        return cls(await psycopg.AsyncConnection.connect(conninfo, autocommit=True))

    async def close(self) -> None:
        self._end(psycopg.OperationalError("the connection was closed"))
        await self.connection.close()

    async def rows(self, statement: Statement, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        prepared, result = await self._execute(statement, values)
        prepared.values.set_pgresult(result, set_loaders=prepared.values.pgresult is None)
        return list(prepared.values.load_rows(0, result.ntuples, tuple))

    async def run(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """How many rows it wrote."""
        _, result = await self._execute(statement, values)
        return result.command_tuples or 0

    async def _execute(self, statement: Statement, values: Mapping[str, Any]) -> tuple[Prepared, Any]:
        while self.asked is not None or statement not in self.prepared:
            if self.asked is not None:
                await self._free()
            else:
                await self._prepare(statement)
        prepared = self.prepared[statement]
        arguments = prepared.values.dump_sequence(statement.arguments(values), prepared.formats)
        return prepared, await self._ask(lambda: self.pgconn.send_query_prepared(prepared.name, arguments))

    async def _prepare(self, statement: Statement) -> None:
        name = b"link_%d" % next(self.numbers)  # never the same again: whoever is cancelled here leaves a name behind
        made = Prepared(name, Transformer(self.connection), [PyFormat.TEXT] * len(statement.names))
        await self._ask(lambda: self.pgconn.send_prepare(name, statement.text.encode()))
        self.prepared[statement] = made

    async def _ask(self, send: Callable[[], None]) -> Any:
        if self.closed:
            raise psycopg.OperationalError("the connection is closed")
        asked = self.asked = self.loop.create_future()
        try:
            send()
            self._write()
        except psycopg.Error as error:
            self._end(error)
        self._look()
        result = await asked
        if result is None:
            raise psycopg.OperationalError("PostgreSQL gave no answer")
        if result.status not in FINE:
            raise error_from_result(result)
        return result

    async def _free(self) -> None:
        """Until the statement before is over."""
        turn = self.loop.create_future()
        self.waiting.append(turn)
        await turn

    def _write(self) -> None:
        """Send what the socket takes; the rest when it takes more."""
        if self.pgconn.flush():
            self.loop.add_writer(self.socket, self._write_on)

    def _write_on(self) -> None:
        try:
            if not self.pgconn.flush():
                self.loop.remove_writer(self.socket)
        except psycopg.Error as error:
            self._end(error)
        self._look()

    def _read(self) -> None:
        try:
            self.pgconn.consume_input()
            while self.asked is not None and not self.pgconn.is_busy():
                result = self.pgconn.get_result()
                if result is None:
                    self._answer(self.result)
                else:
                    self.result = result
        except psycopg.Error as error:
            self._end(error)
        self._look()

    def _look_again(self) -> None:
        """Now and then without being told, as psycopg does.

        Where a socket reports an error, as one may after a kill of PostgreSQL, uvloop closes what watched it and tells nobody.
        """
        self.again = self.loop.call_later(LOOK_AGAIN, self._look_again)
        if self.asked is not None:
            self._read()
        if not self.closed:
            self.loop.remove_reader(self.socket)  # without this a watch that was closed would be asked to go on, and refuse
            self.loop.add_reader(self.socket, self._read)

    def _look(self) -> None:
        """After each use of libpq, which closes the socket by itself where it finds the connection gone, and says so or not.

        The next connection may get the same number, so the loop must stop watching this one before anything else is opened.
        """
        if self.pgconn.status != pq.ConnStatus.OK:
            self._end(psycopg.OperationalError("the connection is gone"))

    def _answer(self, result: Any) -> None:
        asked, self.asked, self.result = self.asked, None, None
        if asked is not None and not asked.done():
            asked.set_result(result)
        self._wake()

    def _end(self, error: psycopg.Error) -> None:
        """The connection has gone, and with it whatever was asked."""
        if not self.closed:
            self.closed = True
            self.again.cancel()
            self.loop.remove_reader(self.socket)
            self.loop.remove_writer(self.socket)
        asked, self.asked = self.asked, None
        if asked is not None and not asked.done():
            asked.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        waiting, self.waiting = self.waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)


async def living(link: Link | None, conninfo: str) -> Link:
    """`link` as long as its connection lives, else one in its place."""
    if link is not None and not link.closed:
        return link
    if link is not None:
        await link.close()
    return await Link.connect(conninfo)


class Links:
    """Up to `most` of them, made when they are needed; the one that was used last is used next."""

    def __init__(self, conninfo: str, most: int, patience: float) -> None:
        self.conninfo = conninfo
        self.patience = patience  # seconds
        self.idle: list[Link] = []
        self.places = asyncio.Semaphore(most)

    async def close(self) -> None:
        """End those that nobody uses."""
        while self.idle:
            await self.idle.pop().close()

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Link]:
        """A link for oneself. Raises TimeoutError when all are in use for too long, psycopg.OperationalError."""
        if self.places.locked():
            async with asyncio.timeout(self.patience):
                await self.places.acquire()
        else:
            await self.places.acquire()  # at once
        try:
            while self.idle and self.idle[-1].closed:
                await self.idle.pop().close()
            link = self.idle.pop() if self.idle else await Link.connect(self.conninfo)
            try:
                yield link
            finally:
                self.idle.append(link)
        finally:
            self.places.release()
