"""Every statement of the generating process. Short transactions, no ORM; each write is checked against the turn's epoch."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from billing.statements import FINISH_PARTS, RESERVE_PARTS

SUSPECT_FROM = 3  # attempts that came to nothing
SHORT = 100  # messages that are read along with the claim
RINGS = 8  # journal partitions; the migration made them

Connection = AsyncConnection[Any]
Result = TypeVar("Result")
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)

logger = logging.getLogger(__name__)


def current_ring() -> int:
    """The journal partition of turns that start now: the hour, modulo the ring."""
    return int(time.time() // 3600) % RINGS


@dataclass(slots=True)
class Claimed:
    """A turn this process holds the lease of."""

    id: UUID
    thread_id: UUID
    user_id: UUID
    answer_id: UUID
    number: int
    model: str
    options: dict[str, Any]
    price: dict[str, str]
    epoch: int
    attempts: int
    ring: int
    first_seq: int
    stop_requested_at: datetime | None
    instructions: str
    recent: list[tuple[int, str, list[dict[str, Any]]]] | None  # (seq, role, content) up to the question; None: to be read
    side_calls: bool
    key_id: UUID | None
    held_micros: int | None  # None: nothing is held for it (any more)
    held_input: int | None  # tokens
    held_output: int | None
    answer_seq: int  # of the message that is written now
    waits: int
    end_user_id: str | None
    request_id: str
    metadata: dict[str, Any] | None


HELD = """
    h.id, h.thread_id, h.number, h.model, h.options, h.price, h.epoch, h.attempts, h.ring, h.first_seq, h.stop_requested_at,
    u.id AS user_id, u.custom_instructions AS instructions, u.side_calls, m.id AS answer_id, {recent} AS recent, h.key_id,
    CASE WHEN r.state = 'held' THEN r.amount_micros END AS held_micros, r.input_tokens AS held_input, r.max_tokens AS held_output,
    {answer_seq} AS answer_seq, h.waits, t.end_user_id, h.request_id, t.metadata
FROM held h
LEFT JOIN {hold} r ON r.id = h.id
JOIN threads_thread t ON t.id = h.thread_id
JOIN accounts_user u ON u.id = t.user_id
JOIN threads_message m ON m.turn_id = h.id AND m.role = 'assistant'{newest}
"""
# A turn that called tools has several messages of the assistant: it goes on with the last.
AGAIN = HELD.format(
    recent="NULL::json",
    hold="{hold}",
    answer_seq="m.seq",
    newest=" AND NOT EXISTS (SELECT 1 FROM threads_message l WHERE l.turn_id = h.id AND l.role = 'assistant' AND l.seq > m.seq)",
)

# What the provider is sent, of a short conversation: one trip to the database less before the first word. The rows are those from
# before the claim, so the question has no number yet.
RECENT = f"""CASE WHEN h.first_seq < {SHORT} AND NOT EXISTS (SELECT 1 FROM threads_compaction c WHERE c.thread_id = h.thread_id) THEN (
    SELECT json_agg(json_build_array(coalesce(r.seq, h.first_seq), r.role, r.content) ORDER BY r.seq)
    FROM threads_message r
    WHERE r.thread_id = h.thread_id AND r.on_path AND (r.seq IS NOT NULL OR r.turn_id = h.id AND r.role = 'user')
) END"""

# The thread row is locked with the turn: two processes can never start two turns of one thread, because the second one sees
# the thread's new active_turn_id when it gets the lock. Sequence numbers are handed out here, under that lock.
CLAIM = f"""
WITH picked AS (
    SELECT t.id, t.thread_id, th.last_seq
    FROM threads_turn t JOIN threads_thread th ON th.id = t.thread_id
    WHERE t.status = 'queued' AND th.active_turn_id IS NULL AND th.deleted_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM threads_turn q WHERE q.thread_id = t.thread_id AND q.status = 'queued' AND q.number < t.number)
    ORDER BY t.created_at LIMIT %(most)s
    FOR UPDATE OF t, th SKIP LOCKED
), held AS (
    UPDATE threads_turn t SET
        status = 'running', epoch = t.epoch + 1, attempts = t.attempts + 1, runner = %(runner)s, ring = %(ring)s,
        lease_until = now() + %(lease)s::interval, first_seq = p.last_seq + 1, started_at = now(), changed_at = now()
    FROM picked p WHERE t.id = p.id RETURNING t.*
), threads AS (
    UPDATE threads_thread th SET active_turn_id = p.id, last_seq = p.last_seq + 2, changed_at = now()
    FROM picked p WHERE th.id = p.thread_id
), messages AS (
    UPDATE threads_message m SET seq = p.last_seq + CASE m.role WHEN 'user' THEN 1 ELSE 2 END
    FROM picked p WHERE m.turn_id = p.id AND m.seq IS NULL
)
SELECT {HELD.format(recent=RECENT, hold="billing_reservation", answer_seq="h.first_seq + 1", newest="")}
"""

# A turn that was lost several times may be what ends the processes: those are taken one by one, so that they take no other along.
# Locked, the hold is read as the earlier owner may have left it a moment before.
RECOVER = f"""
WITH plain AS (
    SELECT id FROM threads_turn
    WHERE status = 'running' AND lease_until < now() AND attempts - waits < {SUSPECT_FROM} AND id <> ALL(%(mine)s::uuid[])
    ORDER BY lease_until LIMIT %(most)s FOR UPDATE SKIP LOCKED
), suspect AS (
    SELECT id FROM threads_turn
    WHERE status = 'running' AND lease_until < now() AND attempts - waits >= {SUSPECT_FROM} AND id <> ALL(%(mine)s::uuid[])
    ORDER BY attempts - waits, lease_until LIMIT %(suspects)s FOR UPDATE SKIP LOCKED
), held AS (
    UPDATE threads_turn t SET
        epoch = t.epoch + 1, attempts = t.attempts + 1, runner = %(runner)s, lease_until = now() + %(lease)s::interval, changed_at = now()
    FROM (SELECT id FROM plain UNION ALL SELECT id FROM suspect) lost WHERE t.id = lost.id RETURNING t.*
), hold AS MATERIALIZED (
    SELECT r.* FROM billing_reservation r, held h WHERE r.id = h.id FOR SHARE OF r
)
SELECT {AGAIN.format(hold="hold")}
"""

# A lease that ran out while nobody else took the turn is taken anew, with a new epoch, like any other claim.
RENEW = """
UPDATE threads_turn t SET lease_until = now() + %(lease)s::interval, epoch = t.epoch + CASE WHEN t.lease_until < now() THEN 1 ELSE 0 END
FROM unnest(%(ids)s::uuid[], %(epochs)s::int[]) AS mine(id, epoch)
WHERE t.id = mine.id AND t.epoch = mine.epoch AND t.status = 'running'
RETURNING t.id, t.epoch
"""

# FOR SHARE makes a concurrent claim and this insert wait for each other, so an old epoch can never slip in behind a new one.
APPEND = """
INSERT INTO threads_turnevent (ring, turn_id, index, epoch, payload, created_at)
SELECT e.ring, e.turn_id, e.index, e.epoch, e.payload, clock_timestamp()
FROM unnest(%(rings)s::smallint[], %(turns)s::uuid[], %(indexes)s::int[], %(epochs)s::int[], %(payloads)s::text[])
    AS e(ring, turn_id, index, epoch, payload)
JOIN (
    SELECT id, epoch FROM threads_turn
    WHERE id = ANY(%(held)s::uuid[]) AND status = 'running' AND lease_until > now() FOR SHARE
) t ON t.id = e.turn_id AND t.epoch = e.epoch
ON CONFLICT DO NOTHING
"""

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
SELECT title_due FROM thread
"""

HAND_BACK = "UPDATE threads_turn SET lease_until = now() - interval '1 second' WHERE runner = %s AND status = 'running'"
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
INSERT INTO threads_runner (name, started_at, seen_at, live_turns, capacity, draining)
VALUES (%(name)s, now(), now(), %(live)s, %(capacity)s, %(draining)s)
ON CONFLICT (name) DO UPDATE SET seen_at = now(), live_turns = excluded.live_turns, draining = excluded.draining
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


async def claim(connection: Connection, runner: str, lease: float, most: int) -> list[Claimed]:
    """Start up to `most` queued turns, the oldest first, one per idle thread."""
    return await _held(connection, CLAIM, runner=runner, lease=_interval(lease), most=most, ring=current_ring())


async def recover(connection: Connection, runner: str, lease: float, most: int, suspects: int, mine: list[UUID]) -> list[Claimed]:
    """Take over turns whose lease ran out, up to `suspects` of them that were lost several times.

    Not `mine`: those this process is at work on, whose leases it renews itself.
    """
    return await _held(connection, RECOVER, runner=runner, lease=_interval(lease), most=most, suspects=suspects, mine=mine)


async def _held(connection: Connection, statement: str, **values: Any) -> list[Claimed]:
    async with connection.cursor(row_factory=class_row(Claimed)) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()


async def renew(connection: Connection, lease: float, epochs: dict[UUID, int]) -> dict[UUID, int]:
    """Extend the leases still held; returns their epochs. What is missing belongs to somebody else now."""
    values = {"lease": _interval(lease), "ids": list(epochs), "epochs": list(epochs.values())}
    cursor = await connection.execute(RENEW, values)
    return dict(await cursor.fetchall())


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


async def finish(connection: Connection, values: dict[str, Any]) -> tuple[bool] | None:
    """Everything of a turn's end in one statement: (whether its thread wants a title), or None when the turn is not ours."""
    return await (await connection.execute(FINISH, values)).fetchone()


async def stops(connection: Connection, runner: str) -> list[UUID]:
    cursor = await connection.execute(STOPS, (runner,))
    return [turn_id for (turn_id,) in await cursor.fetchall()]


async def hand_back(connection: Connection, runner: str) -> None:
    """End every lease of this process, so that another one takes the turns over at once."""
    await connection.execute(HAND_BACK, (runner,))


async def beat(connection: Connection, runner: str, live: int, capacity: int, draining: bool) -> None:
    await connection.execute(BEAT, {"name": runner, "live": live, "capacity": capacity, "draining": draining})


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _interval(seconds: float) -> str:
    return f"{seconds} seconds"
