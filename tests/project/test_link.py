"""Prepared statements by libpq itself: the same values as psycopg gives, and a link that outlives whatever is done to its users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from asgiref.sync import sync_to_async

from chatai.lib.link import Link, Links
from chatai.lib.postgres import conninfo
from chatai.lib.prepared import Statement

pytestmark = pytest.mark.django_db(transaction=True)

ONE = Statement("SELECT %(number)s::int")
SLEEP = Statement("SELECT pg_sleep(%(seconds)s), %(number)s::int")
ECHO = Statement("SELECT %(text)s::text, length(%(text)s::text)")
VALUES: list[tuple[str, Any]] = [
    ("int", 7),
    ("bigint", 2**40),
    ("text", "Grüße \\ ' \" {}"),
    ("boolean", True),
    ("uuid", uuid4()),
    ("timestamptz", datetime(2026, 11, 30, 12, 0, 0, 123456, UTC)),
    ("numeric", Decimal("1.50")),
    ("bytea", b"\0\xff\\x"),
    ("double precision", 0.1),
    ("int[]", [1, None, 3]),
    ("text[]", ["a,b", 'c"d', None]),
    ("uuid[]", [uuid4()]),
]


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    made = await Link.connect(conninfo("test"))
    yield made
    await made.close()


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=[kind for kind, _ in VALUES])
async def test_values_go_and_come_as_with_psycopg(link: Link, kind: str, value: Any) -> None:
    statement = Statement(f"SELECT %(value)s::{kind}, NULL::{kind}, %(nothing)s::{kind}")
    for _ in range(2):  # prepared, and used again
        assert await link.rows(statement, {"value": value, "nothing": None}) == [(value, None, None)]


async def test_json_and_rows_and_counts(link: Link) -> None:
    made = Statement("SELECT n, jsonb_build_object('n', n) FROM generate_series(1, %(most)s::int) n ORDER BY n")
    assert await link.rows(made, {"most": 3}) == [(1, {"n": 1}), (2, {"n": 2}), (3, {"n": 3})]
    assert await link.rows(made, {"most": 0}) == []
    await link.run(Statement("CREATE TEMP TABLE kept (n int)"), {})
    filled = Statement("INSERT INTO kept SELECT generate_series(1, %(most)s::int)")
    assert [await link.run(filled, {"most": most}) for most in (5, 0)] == [5, 0]


async def test_many_at_once_each_get_their_own(link: Link) -> None:
    statements = [Statement(f"SELECT %(number)s::int + {place} * 0") for place in range(5)]
    asked = [link.rows(statements[number % 5], {"number": number}) for number in range(200)]
    assert await asyncio.gather(*asked) == [[(number,)] for number in range(200)]


async def test_more_than_a_socket_takes_at_once(link: Link) -> None:
    text = "ü" * 8_000_000
    assert await link.rows(ECHO, {"text": text}) == [(text, len(text))]


async def test_who_is_cancelled_leaves_no_answer_to_the_next(link: Link) -> None:
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await link.rows(SLEEP, {"seconds": 0.1, "number": 1})
        assert await asyncio.gather(*(link.rows(ONE, {"number": number}) for number in (2, 3))) == [[(2,)], [(3,)]]
    assert not link.closed


async def test_who_is_cancelled_at_the_first_use_of_a_statement_spoils_it_for_nobody(link: Link) -> None:
    for _ in range(3):
        first = asyncio.create_task(link.rows(ONE, {"number": 1}))
        await asyncio.sleep(0)  # it is being prepared
        first.cancel()
        await asyncio.wait([first])
    assert await link.rows(ONE, {"number": 2}) == [(2,)]


async def test_an_error_is_psycopgs_own_and_the_link_goes_on(link: Link) -> None:
    divided = Statement("SELECT 1 / %(by)s::int")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await link.rows(divided, {"by": 0})
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        await link.rows(ONE, {"number": "no number"})
    with pytest.raises(psycopg.errors.UndefinedTable):
        await link.rows(Statement("SELECT * FROM nowhere"), {})
    with pytest.raises(psycopg.DataError):
        await link.rows(ECHO, {"text": "a\0b"})
    assert await link.rows(divided, {"by": 1}) == [(1,)]


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_a_connection_that_was_ended_is_known_to_be(link: Link, busy: bool) -> None:
    asked = asyncio.create_task(link.rows(SLEEP, {"seconds": 20, "number": 1})) if busy else None
    behind = asyncio.create_task(link.rows(ONE, {"number": 1})) if busy else None
    await asyncio.sleep(0.1)
    await sync_to_async(_end)(link)
    async with asyncio.timeout(5):
        while not link.closed:
            await asyncio.sleep(0.01)
    for task in (asked, behind):
        if task is not None:
            with pytest.raises(psycopg.OperationalError):
                await task
    with pytest.raises(psycopg.OperationalError):
        await link.rows(ONE, {"number": 1})


async def test_an_answer_that_the_loop_does_not_tell_of_is_found(link: Link) -> None:
    assert await link.rows(ONE, {"number": 1}) == [(1,)]
    asyncio.get_running_loop().remove_reader(link.socket)  # as somebody else might who has an old number of a socket
    async with asyncio.timeout(5):
        assert await link.rows(ONE, {"number": 2}) == [(2,)]
        assert await link.rows(ONE, {"number": 3}) == [(3,)]


async def test_closing_tells_whoever_waits(link: Link) -> None:
    asked = asyncio.create_task(link.rows(SLEEP, {"seconds": 20, "number": 1}))
    await asyncio.sleep(0.1)
    await link.close()
    with pytest.raises(psycopg.OperationalError):
        await asked


async def test_links_are_few_used_again_and_replaced(link: Link) -> None:
    links = Links(conninfo("test"), 2, 0.2)
    async with links.one() as first, links.one() as other:
        assert first is not other
        with pytest.raises(TimeoutError):
            async with links.one():
                pass
    async with links.one() as again:
        assert again is first  # the one that was given back last
    await sync_to_async(_end)(first)
    async with asyncio.timeout(5):
        while not first.closed:
            await asyncio.sleep(0.01)
    async with links.one() as one:
        assert one is other
        async with links.one() as new:
            assert await new.rows(ONE, {"number": 4}) == [(4,)]
    await links.close()
    assert other.closed
    assert new.closed


def _end(link: Link) -> None:
    with psycopg.connect(conninfo("test")) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", [link.pgconn.backend_pid])
