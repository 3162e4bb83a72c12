"""How turns come to a process: claimed from the queue, given to it as they were admitted, or taken over from one that was lost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from chatai.lib.link import Link
from chatai.lib.postgres import array
from chatai.lib.prepared import Statement
from threads.replies.store import Connection, interval
from threads.starting import GIVEN_SECONDS, current_ring

SUSPECT_FROM = 3  # attempts that came to nothing
SHORT = 100  # messages that are read along with the claim


@dataclass(slots=True)
class Claimed:
    """A turn this process holds the lease of; the fields in the order of HELD."""

    id: UUID
    thread_id: UUID
    number: int
    model: str
    options: dict[str, Any]
    price: dict[str, str]
    epoch: int
    attempts: int
    ring: int
    first_seq: int
    stop_requested_at: datetime | None
    user_id: UUID
    instructions: str
    side_calls: bool
    answer_id: UUID
    recent: list[tuple[int, str, list[dict[str, Any]]]] | None  # (seq, role, content) up to the question; None: to be read
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

# What the provider is sent, of a short conversation: one trip to the database less before the first word. In a claim the rows are
# those from before it, so the question has no number yet.
RECENT = f"""CASE WHEN h.first_seq < {SHORT} AND NOT EXISTS (SELECT 1 FROM threads_compaction c WHERE c.thread_id = h.thread_id) THEN (
    SELECT json_agg(json_build_array(coalesce(r.seq, h.first_seq), r.role, r.content) ORDER BY r.seq)
    FROM threads_message r
    WHERE r.thread_id = h.thread_id AND r.on_path AND (r.seq <= h.first_seq OR r.seq IS NULL AND r.turn_id = h.id AND r.role = 'user')
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

# Turns that were given to this process as they were admitted (see admission.py): running, and nobody has renewed the lease yet. It is
# short, so that what a process was given that died a moment before is taken over soon.
GIVEN = f"""
    status = 'running' AND runner = %(runner)s AND epoch = 1
    AND lease_until > now() AND lease_until <= created_at + interval '{GIVEN_SECONDS} seconds'
"""
TAKE = Statement(f"""
WITH held AS (SELECT * FROM threads_turn WHERE id = ANY(%(ids)s::uuid[]) AND {GIVEN})
SELECT {HELD.format(recent=RECENT, hold="billing_reservation", answer_seq="h.first_seq + 1", newest="")}
""")
LEFT = Statement(f"SELECT id FROM threads_turn WHERE lease_until < now() + interval '{GIVEN_SECONDS} seconds' AND {GIVEN}")

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

HAND_BACK = """
UPDATE threads_turn SET lease_until = now() - interval '1 second'
WHERE runner = %(runner)s AND status = 'running' AND id <> ALL(%(but)s::uuid[])
"""


async def claim(connection: Connection, runner: str, lease: float, most: int) -> list[Claimed]:
    """Start up to `most` queued turns, the oldest first, one per idle thread."""
    return await _held(connection, CLAIM, runner=runner, lease=interval(lease), most=most, ring=current_ring())


async def take(link: Link, runner: str, ids: Collection[UUID]) -> list[Claimed]:
    """Those of the turns that this process was given. The caller has taken none of them before: nothing is written here."""
    return [Claimed(*row) for row in await link.rows(TAKE, {"runner": runner, "ids": array(ids)})]


async def left(link: Link, runner: str) -> set[UUID]:
    """Turns that this process was given in the last seconds, for hints that were lost."""
    return {turn_id for (turn_id,) in await link.rows(LEFT, {"runner": runner})}


async def recover(connection: Connection, runner: str, lease: float, most: int, suspects: int, mine: list[UUID]) -> list[Claimed]:
    """Take over turns whose lease ran out, up to `suspects` of them that were lost several times.

    Not `mine`: those this process is at work on, whose leases it renews itself.
    """
    return await _held(connection, RECOVER, runner=runner, lease=interval(lease), most=most, suspects=suspects, mine=mine)


async def _held(connection: Connection, statement: str, **values: Any) -> list[Claimed]:
    async with connection.cursor(row_factory=class_row(Claimed)) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()


async def hand_back(connection: Connection, runner: str, but: Collection[UUID] = ()) -> None:
    """End the leases of this process (`but` those of some turns), so that another one takes the turns over at once."""
    await connection.execute(HAND_BACK, {"runner": runner, "but": array(but)})
