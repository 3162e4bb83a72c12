"""What the tailer reads: a few statements for everything that all watchers of this process look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from threads.models import Compaction, Message, Thread, Turn

THREAD_FIELDS = "id, user_id, title, active_turn_id, last_seq, read_seq, pinned_at, archived_at, deleted_at, changed_at, last_active_at"
TURN_FIELDS = """t.id, t.thread_id, t.number, t.request_id, t.model, t.status, t.ring, t.error_kind, t.error_message, t.usage,
    t.parent_id, t.on_path, t.first_seq,
    t.cost_micros, t.created_at, t.changed_at, t.started_at, t.finished_at"""
MESSAGE_FIELDS = "id, thread_id, turn_id, seq, role, content, status, model, usage, cost_micros, rating, created_at"

THREADS_BY_ID = f"SELECT {THREAD_FIELDS} FROM threads_thread WHERE id = ANY(%(ids)s) AND user_id = ANY(%(users)s)"
THREADS_SINCE = f"""
SELECT {THREAD_FIELDS} FROM threads_thread WHERE user_id = ANY(%(users)s) AND changed_at > %(since)s ORDER BY changed_at LIMIT %(most)s
"""
# Queued turns are left out for a moment: most of them are started, and seen as running, within milliseconds. What such a turn
# stands instead of leaves with the same frame in which it comes, so that a page is never without both.
TURNS_SINCE = f"""
SELECT {TURN_FIELDS}, c.label FROM unnest(%(threads)s::uuid[], %(sinces)s::timestamptz[]) AS w(thread_id, since)
JOIN threads_turn t ON t.thread_id = w.thread_id AND t.changed_at > w.since
LEFT JOIN unnest(%(known)s::uuid[], %(known_at)s::timestamptz[]) AS k(id, changed_at) ON k.id = t.id AND k.changed_at = t.changed_at
LEFT JOIN threads_catalogmodel c ON c.slug = t.model
WHERE k.id IS NULL AND CASE
    WHEN t.status = 'queued' THEN t.created_at < now() - make_interval(secs => %(patience)s)
    WHEN NOT t.on_path THEN NOT EXISTS (
        SELECT 1 FROM threads_turn q WHERE q.thread_id = t.thread_id AND q.status = 'queued' AND q.number > t.number
        AND q.created_at > now() - make_interval(secs => %(patience)s))
    ELSE true END
ORDER BY t.number DESC LIMIT %(most)s
"""
UNFINISHED = f"""
SELECT {TURN_FIELDS}, c.label FROM threads_turn t LEFT JOIN threads_catalogmodel c ON c.slug = t.model
WHERE t.thread_id = %(thread)s AND (t.id = (SELECT active_turn_id FROM threads_thread WHERE id = %(thread)s) OR t.status = 'queued')
ORDER BY t.number LIMIT %(most)s
"""
TURN = f"""
SELECT {TURN_FIELDS}, t.outline, t.retry_after, '' AS label, CASE WHEN t.status = 'queued' THEN (
    SELECT count(*) FROM threads_turn q WHERE q.thread_id = t.thread_id
    AND (q.status = 'queued' AND q.number < t.number OR q.status IN ('running', 'waiting'))
) ELSE 0 END AS ahead FROM threads_turn t JOIN threads_thread th ON th.id = t.thread_id
WHERE t.id = %(turn)s AND th.deleted_at IS NULL
"""
ANSWER = (
    f"SELECT {MESSAGE_FIELDS}, stop_reason FROM threads_message WHERE turn_id = %(turn)s AND role = 'assistant' ORDER BY seq DESC LIMIT 1"
)
NEWEST_EVENT = "SELECT index FROM threads_turnevent WHERE ring = %(ring)s AND turn_id = %(turn)s ORDER BY index DESC LIMIT 1"
MESSAGES = f"SELECT {MESSAGE_FIELDS} FROM threads_message WHERE turn_id = ANY(%(turns)s) ORDER BY seq NULLS FIRST, role DESC"
# Siblings share a parent; the first turns of a thread have none. The summary in force is drawn at the turn that it ends with.
AROUND = """
SELECT w.id, array_agg(s.id ORDER BY s.number) AS siblings, (
    SELECT json_build_object('id', c.id, 'summary', c.summary) FROM threads_message m
    JOIN threads_compaction c ON c.thread_id = m.thread_id AND c.through_seq = m.seq AND c.undone_at IS NULL
    WHERE m.turn_id = w.id AND NOT EXISTS (
        SELECT 1 FROM threads_compaction n JOIN threads_message l ON l.thread_id = n.thread_id AND l.seq = n.through_seq AND l.on_path
        WHERE n.thread_id = c.thread_id AND n.undone_at IS NULL AND n.through_seq > c.through_seq)
    LIMIT 1
) AS summary
FROM unnest(%(ids)s::uuid[], %(threads)s::uuid[], %(parents)s::uuid[]) AS w(id, thread_id, parent_id)
CROSS JOIN LATERAL (
    SELECT id, number FROM threads_turn WHERE parent_id = w.parent_id AND first_seq IS NOT NULL AND deleted_at IS NULL
    UNION ALL
    SELECT id, number FROM threads_turn
    WHERE w.parent_id IS NULL AND thread_id = w.thread_id AND parent_id IS NULL AND first_seq IS NOT NULL AND deleted_at IS NULL
) s
GROUP BY w.id
"""
EVENTS = """
SELECT w.place - 1 AS place, array_agg(e.payload ORDER BY e.index) AS payloads
FROM unnest(%(rings)s::smallint[], %(turns)s::uuid[], %(nexts)s::int[]) WITH ORDINALITY AS w(ring, turn_id, next, place)
JOIN threads_turnevent e ON e.ring = w.ring AND e.turn_id = w.turn_id AND e.index >= w.next
GROUP BY w.place
"""
SESSIONS = """
SELECT s.session_key FROM django_session s WHERE s.session_key = ANY(%(keys)s) AND s.expire_date > now()
"""
PASSWORDS = "SELECT id, password FROM accounts_user WHERE id = ANY(%(users)s) AND is_active"

TURN_COLUMNS = frozenset(field.attname for field in Turn._meta.concrete_fields)


class Reader(Protocol):
    """Who follows a turn's journal: what the live page draws from, or a stream of events."""

    turn_id: UUID
    ring: int
    next_index: int
    ended: bool

    def feed(self, payloads: list[str]) -> None: ...


class Feed:
    """One connection, reopened when it breaks. Methods raise psycopg.OperationalError while PostgreSQL is away."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.connection: psycopg.AsyncConnection[Any] | None = None

    async def _rows(self, statement: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            if self.connection is None or self.connection.closed:
                self.connection = await psycopg.AsyncConnection.connect(
                    self.conninfo, autocommit=True, prepare_threshold=1, row_factory=dict_row
                )
            return await (await self.connection.execute(statement, values)).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError):
            if self.connection is not None:
                await self.connection.close()
            raise

    async def close(self) -> None:
        if self.connection is not None:
            await self.connection.close()

    async def threads(self, ids: list[UUID], users: list[UUID]) -> list[Thread]:
        return [Thread(**row) for row in await self._rows(THREADS_BY_ID, {"ids": ids, "users": users})]

    async def threads_since(self, users: list[UUID], since: datetime, most: int) -> list[Thread]:
        return [Thread(**row) for row in await self._rows(THREADS_SINCE, {"users": users, "since": since, "most": most})]

    async def turns_since(
        self, since: dict[UUID, datetime], patience: float, most: int, known: dict[UUID, datetime] | None = None
    ) -> list[tuple[Turn, str]]:
        """Changed turns of watched threads with their models' labels, newest first, without those that are still as in `known`."""
        known = known or {}
        values: dict[str, Any] = {"threads": list(since), "sinces": list(since.values()), "patience": patience, "most": most}
        values |= {"known": list(known), "known_at": list(known.values())}
        return _turns(await self._rows(TURNS_SINCE, values))

    async def unfinished(self, thread_id: UUID, most: int) -> list[tuple[Turn, str]]:
        return _turns(await self._rows(UNFINISHED, {"thread": thread_id, "most": most}))

    async def messages(self, turn_ids: list[UUID]) -> dict[UUID, list[Message]]:
        found: dict[UUID, list[Message]] = defaultdict(list)
        for row in await self._rows(MESSAGES, {"turns": turn_ids}):
            found[row["turn_id"]].append(Message(**row))
        return found

    async def around(self, turns: list[Turn]) -> dict[UUID, tuple[list[UUID], Compaction | None]]:
        """Ids of each turn and its siblings, in the order they were asked, and the summary in force if it ends there."""
        values = {
            "ids": [turn.id for turn in turns],
            "threads": [turn.thread_id for turn in turns],
            "parents": [turn.parent_id for turn in turns],
        }
        found = {row["id"]: (row["siblings"], row["summary"]) for row in await self._rows(AROUND, values)}
        around = {turn.id: found.get(turn.id, ([turn.id], None)) for turn in turns}
        return {turn_id: (siblings, Compaction(**summary) if summary else None) for turn_id, (siblings, summary) in around.items()}

    async def events(self, readers: Sequence[Reader]) -> list[tuple[Reader, list[str]]]:
        """Journal payloads that each of `readers` has not read yet."""
        values = {
            "rings": [one.ring for one in readers],
            "turns": [one.turn_id for one in readers],
            "nexts": [one.next_index for one in readers],
        }
        return [(readers[row["place"]], row["payloads"]) for row in await self._rows(EVENTS, values)]

    async def turn(self, turn_id: UUID) -> Turn | None:
        """With how many are ahead of it. None when it is gone, its thread deleted included."""
        rows = await self._rows(TURN, {"turn": turn_id})
        if not rows:
            return None
        ((turn, _),) = _turns(rows)
        turn.ahead = rows[0]["ahead"]
        return turn

    async def answer(self, turn_id: UUID) -> Message | None:
        """The turn's last message of the assistant."""
        rows = await self._rows(ANSWER, {"turn": turn_id})
        return Message(**rows[0]) if rows else None

    async def newest_event(self, ring: int, turn_id: UUID) -> int | None:
        """Index of the last event in the turn's journal; None when it was emptied."""
        rows = await self._rows(NEWEST_EVENT, {"ring": ring, "turn": turn_id})
        return rows[0]["index"] if rows else None

    async def sessions(self, keys: list[str]) -> set[str]:
        return {row["session_key"] for row in await self._rows(SESSIONS, {"keys": keys})}

    async def passwords(self, users: list[UUID]) -> dict[UUID, str]:
        return {row["id"]: row["password"] for row in await self._rows(PASSWORDS, {"users": users})}


def _turns(rows: list[dict[str, Any]]) -> list[tuple[Turn, str]]:
    return [(Turn(**{name: value for name, value in row.items() if name in TURN_COLUMNS}), row["label"] or row["model"]) for row in rows]
