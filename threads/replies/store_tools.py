"""Statements of a turn that calls tools. Each is checked against the turn's epoch, and may be repeated when nobody knows whether it ran.

They answer with nothing when the turn belongs to another process by now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from threads.replies.store import Connection

# FOR SHARE: a claim of the turn by another process waits for this, and the other way round (see APPEND in store.py).
_OURS = """ours AS MATERIALIZED (
    SELECT t.id, t.thread_id, t.on_path FROM threads_turn t
    WHERE t.id = %(turn)s AND t.epoch = %(epoch)s AND t.status = 'running' AND t.lease_until > now() FOR SHARE
)"""

_CALL_COLUMNS = """id uuid, parent_id uuid, tool_use_id text, name text, kind text, source text, version text, iteration smallint,
    "position" smallint, arguments jsonb, writes boolean, repeatable boolean, verdict text, verdict_by text, status text, result jsonb,
    is_error boolean, error_kind text, output_bytes int, chain_number int, chain_hash text"""
_CALL_NAMES = """id, parent_id, tool_use_id, name, kind, source, version, iteration, "position", arguments, writes, repeatable, verdict,
    verdict_by, status, result, is_error, error_kind, output_bytes, chain_number"""
_CALL_VALUES = ", ".join(f"c.{name.strip()}" for name in _CALL_NAMES.split(","))

# The answer as far as it goes, and every call it asks for, before any of them runs. What may run at once is running from here on.
RECORD = f"""
WITH {_OURS}, answer AS (
    UPDATE threads_message m SET content = %(content)s, status = 'complete', model = %(model)s, stop_reason = %(stop_reason)s,
        usage = %(usage)s, cost_micros = %(cost)s
    FROM ours WHERE m.id = %(answer)s
), calls AS (
    INSERT INTO threads_toolcall ({_CALL_NAMES}, chain_hash, turn_id, attempts, created_at, started_at, finished_at)
    SELECT {_CALL_VALUES}, decode(c.chain_hash, 'hex'), ours.id, CASE c.status WHEN 'running' THEN 1 ELSE 0 END, clock_timestamp(),
        CASE c.status WHEN 'pending' THEN NULL ELSE clock_timestamp() END,
        CASE WHEN c.status IN ('done', 'failed') THEN clock_timestamp() END
    FROM ours, jsonb_to_recordset(%(calls)s::jsonb) AS c({_CALL_COLUMNS})
    ON CONFLICT (turn_id, tool_use_id) DO NOTHING
)
SELECT count(*) FROM ours HAVING count(*) = 1
"""

ASK = f"""
WITH {_OURS}, asked AS (
    INSERT INTO threads_approval (id, call_id, kind, state, arguments, arguments_digest, question, decision, created_at, expires_at)
    SELECT a.id, a.call_id, a.kind, 'pending', a.arguments, decode(a.digest, 'hex'), a.question, '', now(), a.expires_at
    FROM ours, jsonb_to_recordset(%(asks)s::jsonb)
        AS a(id uuid, call_id uuid, kind text, arguments jsonb, digest text, question jsonb, expires_at timestamptz)
    ON CONFLICT (id) DO NOTHING
)
SELECT count(*) FROM ours HAVING count(*) = 1
"""

START = f"""
WITH {_OURS}, call AS (
    UPDATE threads_toolcall c SET status = 'running', started_at = clock_timestamp(), attempts = c.attempts + 1,
        arguments = %(arguments)s, verdict_by = %(verdict_by)s
    FROM ours WHERE c.id = %(call)s AND c.turn_id = ours.id AND c.status IN ('pending', 'running')
)
SELECT count(*) FROM ours HAVING count(*) = 1
"""

END = f"""
WITH {_OURS}, call AS (
    UPDATE threads_toolcall c SET status = %(status)s, result = %(result)s, blocks = %(blocks)s, is_error = %(is_error)s,
        error_kind = %(error_kind)s, credential = %(credential)s, http_status = %(http_status)s, output_bytes = %(output_bytes)s,
        cut = %(cut)s, cost_micros = %(cost)s, attempts = %(attempts)s, verdict_by = %(verdict_by)s, finished_at = clock_timestamp(),
        started_at = coalesce(c.started_at, clock_timestamp()), chain_number = %(chain_number)s, chain_hash = %(chain_hash)s
    FROM ours WHERE c.id = %(call)s AND c.turn_id = ours.id AND c.status IN ('pending', 'running')
    RETURNING c.id
), asked AS (
    UPDATE threads_approval a SET state = 'cancelled', decided_at = now()
    FROM call WHERE a.call_id = call.id AND a.state = 'pending'
)
SELECT count(*) FROM ours HAVING count(*) = 1
"""

# Rows that follow, with the next sequence numbers: what the tools answered and, where the loop goes on, the answer to that.
FOLLOW = """
WITH locked AS MATERIALIZED (
    SELECT id, last_seq FROM threads_thread WHERE id = %(thread)s FOR NO KEY UPDATE
), ours AS MATERIALIZED (
    SELECT t.id, t.thread_id, t.on_path, locked.last_seq FROM threads_turn t JOIN locked ON locked.id = t.thread_id
    WHERE t.id = %(turn)s AND t.epoch = %(epoch)s AND t.status = 'running' AND t.lease_until > now() FOR SHARE OF t
), fresh AS (
    SELECT r.*, ours.last_seq + row_number() OVER (ORDER BY r.place) AS seq, ours.id AS turn_id, ours.thread_id, ours.on_path
    FROM ours, unnest(%(ids)s::uuid[], %(roles)s::text[], %(contents)s::jsonb[]) WITH ORDINALITY AS r(id, role, content, place)
    WHERE NOT EXISTS (SELECT 1 FROM threads_message m WHERE m.id = r.id)
), rows AS (
    INSERT INTO threads_message (id, thread_id, turn_id, seq, on_path, role, content, status, model, stop_reason, cost_micros, created_at)
    SELECT id, thread_id, turn_id, seq, on_path, role, content, CASE role WHEN 'user' THEN 'complete' ELSE 'streaming' END,
        CASE role WHEN 'user' THEN '' ELSE %(model)s END, '', 0, clock_timestamp()
    FROM fresh RETURNING id, seq
), thread AS (
    UPDATE threads_thread th SET last_seq = th.last_seq + (SELECT count(*) FROM fresh) FROM ours WHERE th.id = ours.thread_id
)
SELECT id, seq FROM rows UNION ALL SELECT m.id, m.seq FROM threads_message m, ours WHERE m.id = ANY(%(ids)s::uuid[])
"""

# Two statements, because the second must see what was decided while the first waited for the lock.
LOCK_THREAD = "SELECT 1 FROM threads_thread WHERE id = %(thread)s FOR NO KEY UPDATE"
WAIT = """
WITH open AS MATERIALIZED (
    SELECT EXISTS (
        SELECT 1 FROM threads_approval a JOIN threads_toolcall c ON c.id = a.call_id
        WHERE c.turn_id = %(turn)s AND a.state = 'pending' AND a.kind = 'approval'
    ) AS waits
), turn AS (
    UPDATE threads_turn t SET status = 'waiting', lease_until = NULL, waits = t.waits + 1, changed_at = now(),
        first_token_at = coalesce(t.first_token_at, %(first_token_at)s)
    FROM open
    WHERE open.waits AND t.id = %(turn)s AND t.epoch = %(epoch)s AND t.status = 'running' AND t.stop_requested_at IS NULL
    RETURNING t.id
)
SELECT EXISTS (SELECT 1 FROM turn), EXISTS (SELECT 1 FROM threads_turn WHERE id = %(turn)s AND epoch = %(epoch)s AND status = 'running')
"""

CALLS = """
SELECT c.id, c.parent_id, c.tool_use_id, c.name, c.kind, c.source, c.version, c.iteration, c.position, c.arguments, c.writes,
    c.repeatable, c.verdict, c.verdict_by, c.status, c.result, c.blocks, c.is_error, c.error_kind, c.cost_micros, c.output_bytes,
    c.attempts, c.started_at, c.finished_at, c.chain_number, c.chain_hash
FROM threads_toolcall c WHERE c.turn_id = %(turn)s ORDER BY c.position
"""
ROWS = """
SELECT id, seq, role, content, usage, cost_micros, status FROM threads_message WHERE turn_id = %(turn)s AND seq IS NOT NULL ORDER BY seq
"""
APPROVALS = """
SELECT a.id, a.call_id, a.kind, a.state, a.decision, a.edited, a.decided_by_id
FROM threads_approval a JOIN threads_toolcall c ON c.id = a.call_id
WHERE c.turn_id = %(turn)s ORDER BY a.created_at, a.id
"""
# What an app sent as the result of a call that it runs itself.
ANSWERS = """
SELECT id, result FROM threads_toolcall
WHERE turn_id = %(turn)s AND kind = 'client' AND status = 'running' AND result IS NOT NULL
"""


@dataclass(slots=True)
class CallRow:
    id: UUID
    parent_id: UUID | None
    tool_use_id: str
    name: str
    kind: str
    source: str
    version: str
    iteration: int
    position: int
    arguments: Any
    writes: bool
    repeatable: bool
    verdict: str
    verdict_by: str
    status: str
    result: Any
    blocks: list[dict[str, Any]]
    is_error: bool
    error_kind: str
    cost_micros: int
    output_bytes: int
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    chain_number: int | None
    chain_hash: bytes | None


@dataclass(slots=True)
class ApprovalRow:
    id: UUID
    call_id: UUID
    kind: str
    state: str
    decision: str
    edited: Any
    decided_by_id: UUID | None


@dataclass(slots=True)
class MessageRow:
    id: UUID
    seq: int
    role: str
    content: list[dict[str, Any]]
    usage: dict[str, Any] | None
    cost_micros: int
    status: str


async def ours(connection: Connection, statement: str, values: dict[str, Any]) -> bool | None:
    """Run RECORD, ASK, START or END: True, or None when the turn is not ours."""
    return True if await (await connection.execute(statement, values)).fetchone() else None


async def follow(connection: Connection, values: dict[str, Any]) -> dict[UUID, int] | None:
    """The sequence numbers of the rows; None when the turn is not ours."""
    return dict(await (await connection.execute(FOLLOW, values)).fetchall()) or None


async def wait(connection: Connection, values: dict[str, Any]) -> bool | None:
    """Leave the turn until somebody decides. False: somebody has, or it is to stop; None: the turn is not ours."""
    async with connection.transaction():
        await connection.execute(LOCK_THREAD, values)
        row = await (await connection.execute(WAIT, values)).fetchone()
    assert row is not None
    left, still_ours = row
    return True if left else False if still_ours else None


async def calls(connection: Connection, turn_id: UUID) -> list[CallRow]:
    async with connection.cursor(row_factory=class_row(CallRow)) as cursor:
        await cursor.execute(CALLS, {"turn": turn_id})
        return await cursor.fetchall()


async def rows(connection: Connection, turn_id: UUID) -> list[MessageRow]:
    async with connection.cursor(row_factory=class_row(MessageRow)) as cursor:
        await cursor.execute(ROWS, {"turn": turn_id})
        return await cursor.fetchall()


async def approvals(connection: Connection, turn_id: UUID) -> list[ApprovalRow]:
    async with connection.cursor(row_factory=class_row(ApprovalRow)) as cursor:
        await cursor.execute(APPROVALS, {"turn": turn_id})
        return await cursor.fetchall()


async def answers(connection: Connection, turn_id: UUID) -> dict[UUID, Any]:
    """What apps have answered to calls of theirs that nobody has taken in yet."""
    return dict(await (await connection.execute(ANSWERS, {"turn": turn_id})).fetchall())
