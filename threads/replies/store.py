"""Every statement of the generating process. Short transactions, no ORM; each write is checked against the turn's epoch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from billing.statements import FINISH_PARTS, RESERVE_PARTS
from chatai.lib.link import Link
from chatai.lib.postgres import array
from chatai.lib.prepared import Statement

Connection = AsyncConnection[Any]
Result = TypeVar("Result")
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)

logger = logging.getLogger(__name__)


# A lease that ran out while nobody else took the turn is taken anew, with a new epoch, like any other claim.
RENEW = Statement("""
UPDATE threads_turn t SET lease_until = now() + %(lease)s::interval, epoch = t.epoch + CASE WHEN t.lease_until < now() THEN 1 ELSE 0 END
FROM unnest(%(ids)s::uuid[], %(epochs)s::int[]) AS mine(id, epoch)
WHERE t.id = mine.id AND t.epoch = mine.epoch AND t.status = 'running'
RETURNING t.id, t.epoch
""")

# FOR SHARE makes a concurrent claim and this insert wait for each other, so an old epoch can never slip in behind a new one.
APPEND = Statement("""
INSERT INTO threads_turnevent (ring, turn_id, index, epoch, payload, created_at)
SELECT e.ring, e.turn_id, e.index, e.epoch, e.payload, clock_timestamp()
FROM unnest(%(rings)s::smallint[], %(turns)s::uuid[], %(indexes)s::int[], %(epochs)s::int[], %(payloads)s::text[])
    AS e(ring, turn_id, index, epoch, payload)
JOIN (
    SELECT id, epoch FROM threads_turn
    WHERE id = ANY(%(held)s::uuid[]) AND status = 'running' AND lease_until > now() FOR SHARE
) t ON t.id = e.turn_id AND t.epoch = e.epoch
ON CONFLICT DO NOTHING
""")

# A process that lost the turn may still be about to ask for less than the one that has it holds by now. Locked like this the turn
# can be neither taken over nor finished meanwhile.
HOLD = f"""
WITH asker AS MATERIALIZED (
    SELECT id FROM threads_turn WHERE id = %(hold)s AND epoch = %(epoch)s AND status = 'running' AND lease_until > now() FOR SHARE
), {RESERVE_PARTS}
"""

# Settles what the turn has cost too. The thread is locked before the turn, as by a send: one that repeats the turn's request id waits
# for the turn's row with the thread locked.
FINISH = f"""
WITH locked AS MATERIALIZED (
    SELECT id FROM threads_thread WHERE id = %(thread)s FOR NO KEY UPDATE
), turn AS (
    UPDATE threads_turn t SET status = %(status)s, error_kind = %(error_kind)s, error_message = %(error_message)s,
        retry_after = %(retry_after)s, usage = %(usage)s, cost_micros = %(turn_cost)s, iterations = %(iterations)s,
        hit_max_iterations = %(hit_max_iterations)s, first_token_at = coalesce(t.first_token_at, %(first_token_at)s),
        finished_at = now(), changed_at = now(), lease_until = NULL, outline = %(outline)s
    FROM locked WHERE t.id = %(turn)s AND t.thread_id = locked.id AND epoch = %(epoch)s AND status = 'running' AND lease_until > now()
    RETURNING t.id, thread_id, key_id, ring, epoch
), answer AS (
    UPDATE threads_message m SET content = %(content)s, status = %(message_status)s, model = %(model)s,
        stop_reason = %(stop_reason)s, usage = %(answer_usage)s, cost_micros = %(answer_cost)s
    FROM turn WHERE m.id = %(answer)s
), thread AS (
    UPDATE threads_thread th SET active_turn_id = NULL, last_active_at = now(), changed_at = now(),
        cost_micros = th.cost_micros + %(cost)s, title_due = th.title_source = 'words' AND %(worth_title)s
    FROM turn WHERE th.id = turn.thread_id
    RETURNING th.id, th.user_id, th.end_user_id, th.title_due
), journal AS (
    INSERT INTO threads_turnevent (ring, turn_id, index, epoch, payload, created_at)
    SELECT turn.ring, turn.id, e.index, turn.epoch, e.payload, clock_timestamp()
    FROM turn, unnest(%(indexes)s::int[], %(payloads)s::text[]) AS e(index, payload)
    ON CONFLICT DO NOTHING
), outbox AS (
    INSERT INTO threads_outbox (turn_id, kind, created_at) SELECT id, 'index', now() FROM turn
), {FINISH_PARTS}
SELECT title_due, (SELECT s.queued FROM threads_standing(thread.id) s) > 0 FROM thread
"""

STOPS = "SELECT id FROM threads_turn WHERE status = 'running' AND stop_requested_at IS NOT NULL AND runner = %s"
EVENTS = "SELECT epoch, payload FROM threads_turnevent WHERE ring = %s AND turn_id = %s ORDER BY index"
# One statement for the summary in force (the newest one whose cutoff is on the path), whether one was undone, and the rows behind it.
HISTORY = """
WITH summaries AS (
    SELECT c.through_seq, c.summary, c.undone_at IS NOT NULL AS undone FROM threads_compaction c
    JOIN threads_message m ON m.thread_id = c.thread_id AND m.seq = c.through_seq AND m.on_path
    WHERE c.thread_id = %(thread)s
), summary AS (SELECT through_seq, summary FROM summaries WHERE NOT undone ORDER BY through_seq DESC LIMIT 1),
rows AS (
    SELECT seq, role, content FROM threads_message
    WHERE thread_id = %(thread)s AND on_path AND seq IS NOT NULL AND seq <= %(until)s
      AND seq > coalesce((SELECT through_seq FROM summary), 0)
    ORDER BY seq DESC LIMIT %(most)s
)
SELECT seq, role, content FROM rows
UNION ALL SELECT 0, 'summary', to_jsonb(summary) FROM summary
UNION ALL SELECT 0, 'undone', 'true'::jsonb FROM summaries WHERE undone
ORDER BY seq
"""
# The turns that hold a cutoff change with it: pages draw the marker there.
KEEP_SUMMARY = """
WITH kept AS (
    INSERT INTO threads_compaction (id, thread_id, through_seq, summary, model, usage, cost_micros, created_at)
    VALUES (%(id)s, %(thread)s, %(through)s, %(summary)s, %(model)s, %(usage)s, %(cost)s, now())
    RETURNING thread_id, through_seq
), ends AS (
    SELECT thread_id, through_seq FROM kept
    UNION SELECT thread_id, through_seq FROM threads_compaction WHERE thread_id = %(thread)s AND undone_at IS NULL
)
UPDATE threads_turn t SET changed_at = now() FROM ends JOIN threads_message m ON m.thread_id = ends.thread_id AND m.seq = ends.through_seq
WHERE t.id = m.turn_id
"""
BEAT = """
INSERT INTO threads_runner (name, started_at, seen_at, live_turns, capacity, draining, takes)
VALUES (%(name)s, now(), now(), %(live)s, %(capacity)s, %(draining)s, %(takes)s)
ON CONFLICT (name) DO UPDATE SET seen_at = now(), live_turns = excluded.live_turns, draining = excluded.draining, takes = excluded.takes
"""


async def patiently(pool: AsyncConnectionPool[Any], work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Do `work` on a connection, again and again while PostgreSQL is away: for what a turn cannot go on without.

    The pool is looked over after a failure, so that no connection has to be tried out before each use.
    """
    while True:
        try:
            async with pool.connection() as connection:
                return await work(connection)
        except DATABASE_AWAY as error:
            logger.warning("waiting for PostgreSQL: %s", type(error).__name__)
            await asyncio.sleep(0.25)
            await pool.check()


async def renew(link: Link, lease: float, epochs: dict[UUID, int]) -> dict[UUID, int]:
    """Extend the leases still held; returns their epochs. What is missing belongs to somebody else now."""
    values = {"lease": interval(lease), "ids": array(epochs), "epochs": array(epochs.values())}
    return dict(await link.rows(RENEW, values))


async def events(connection: Connection, ring: int, turn_id: UUID) -> list[tuple[int, str]]:
    """(epoch, payload) of the turn's journal."""
    return await (await connection.execute(EVENTS, (ring, turn_id))).fetchall()


@dataclass(slots=True)
class History:
    summary: str
    undone: bool  # a person took a summary back: none is made any more
    rows: list[tuple[int, str, list[dict[str, Any]]]]  # seq, role, content, oldest first


async def history(connection: Connection, thread_id: UUID, until_seq: int, most: int) -> History:
    """The path up to `until_seq`, behind the summary in force."""
    cursor = await connection.execute(HISTORY, {"thread": thread_id, "until": until_seq, "most": most})
    found = History("", False, [])
    for seq, role, content in await cursor.fetchall():
        match role:
            case "summary":
                found.summary = content
            case "undone":
                found.undone = True
            case _:
                found.rows.append((seq, role, content))
    return found


async def keep_summary(connection: Connection, values: dict[str, Any]) -> None:
    await connection.execute(KEEP_SUMMARY, values)


async def finish(connection: Connection, values: dict[str, Any]) -> tuple[bool, bool] | None:
    """Everything of a turn's end in one statement: whether its thread wants a title, and whether another turn of it waits; None when
    the turn is not ours."""
    return await (await connection.execute(FINISH, values)).fetchone()


async def stops(connection: Connection, runner: str) -> list[UUID]:
    cursor = await connection.execute(STOPS, (runner,))
    return [turn_id for (turn_id,) in await cursor.fetchall()]


async def beat(connection: Connection, runner: str, live: int, capacity: int, draining: bool, takes: bool) -> None:
    values = {"name": runner, "live": live, "capacity": capacity, "draining": draining, "takes": takes}
    await connection.execute(BEAT, values)


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def interval(seconds: float) -> str:
    """As PostgreSQL reads it."""
    return f"{seconds} seconds"
