"""What the tailer reads: a few statements for everything that all watchers of this process look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Model

from chatai.lib.link import Link, living
from chatai.lib.postgres import array
from chatai.lib.prepared import Statement
from threads.models import Approval, Compaction, Message, Thread, ToolCall, Turn
from threads.outline import Kept


def fields(model: type[Model], names: str) -> tuple[str, ...]:
    """Those of the model's columns, in the order in which it wants to be filled."""
    wanted = set(names.split())
    return tuple(field.attname for field in model._meta.concrete_fields if field.attname in wanted)


def columns(table: str, fields: Iterable[str]) -> str:
    return ", ".join(f"{table}.{field}" for field in fields)


THREAD = fields(Thread, "id user_id title active_turn_id last_seq read_seq pinned_at archived_at deleted_at changed_at last_active_at")
TURN = fields(
    Turn,
    """id thread_id number request_id model status ring error_kind error_message usage parent_id on_path first_seq cost_micros
    iterations created_at changed_at started_at finished_at""",
)
MESSAGE = fields(Message, "id thread_id turn_id seq role content status model usage cost_micros rating created_at")
OUTLINED = fields(Turn, " ".join((*TURN, "outline", "retry_after", "hit_max_iterations")))
REASONED = fields(Message, " ".join((*MESSAGE, "stop_reason")))
CALL = fields(ToolCall, "id turn_id parent_id tool_use_id name result error_kind blocks started_at finished_at")
ASKED = fields(Approval, "id call_id kind state decision arguments question expires_at")

THREADS_BY_ID = Statement(f"SELECT {columns('h', THREAD)} FROM threads_thread h WHERE h.id = ANY(%(ids)s::uuid[])")
THREADS_SINCE = Statement(f"""
SELECT {columns("h", THREAD)} FROM threads_thread h
WHERE h.user_id = ANY(%(users)s::uuid[]) AND h.changed_at > %(since)s ORDER BY h.changed_at LIMIT %(most)s
""")
MARK_READ = Statement(f"""
UPDATE threads_thread h SET read_seq = least(w.seq, h.last_seq), changed_at = now()
FROM unnest(%(threads)s::uuid[], %(users)s::uuid[], %(seqs)s::int[]) AS w(thread_id, user_id, seq)
WHERE h.id = w.thread_id AND h.user_id = w.user_id AND h.deleted_at IS NULL AND h.read_seq < least(w.seq, h.last_seq)
RETURNING {columns("h", THREAD)}
""")
# A turn with its thread, its messages, its other versions, and the summary in force if that ends with it. Siblings share a parent;
# the first turns of a thread have none.
SEEN = f"""
SELECT {columns("t", TURN)}, {columns("h", THREAD)}, coalesce(c.label, t.model), (
    SELECT array_agg(s.id ORDER BY s.number) FROM (
        SELECT id, number FROM threads_turn WHERE parent_id = t.parent_id AND first_seq IS NOT NULL AND deleted_at IS NULL
        UNION ALL
        SELECT id, number FROM threads_turn
        WHERE t.parent_id IS NULL AND thread_id = t.thread_id AND parent_id IS NULL AND first_seq IS NOT NULL AND deleted_at IS NULL
    ) s
), (
    SELECT json_agg(json_build_array({columns("m", MESSAGE)}) ORDER BY m.seq NULLS FIRST, m.role DESC)
    FROM threads_message m WHERE m.turn_id = t.id
), (
    SELECT json_build_object('id', c.id, 'summary', c.summary) FROM threads_message m
    JOIN threads_compaction c ON c.thread_id = m.thread_id AND c.through_seq = m.seq AND c.undone_at IS NULL
    WHERE m.turn_id = t.id AND NOT EXISTS (
        SELECT 1 FROM threads_compaction n JOIN threads_message l ON l.thread_id = n.thread_id AND l.seq = n.through_seq AND l.on_path
        WHERE n.thread_id = c.thread_id AND n.undone_at IS NULL AND n.through_seq > c.through_seq)
    LIMIT 1
), CASE WHEN t.iterations > 1 THEN (
    SELECT json_object_agg(k.tool_use_id, json_build_array(k.status, k.error_kind, k.started_at, k.finished_at))
    FROM threads_toolcall k WHERE k.turn_id = t.id AND k.parent_id IS NULL
) END"""
TURNS_BY_ID = Statement(f"""{SEEN}
FROM threads_turn t JOIN threads_thread h ON h.id = t.thread_id LEFT JOIN threads_catalogmodel c ON c.slug = t.model
WHERE t.id = ANY(%(ids)s::uuid[]) ORDER BY t.number
""")
# Queued turns are left out for a moment: most of them are started, and seen as running, within milliseconds. What such a turn
# stands instead of leaves with the same frame in which it comes, so that a page is never without both.
TURNS_SINCE = Statement(f"""{SEEN}
FROM unnest(%(threads)s::uuid[], %(sinces)s::timestamptz[]) AS w(thread_id, since)
JOIN threads_turn t ON t.thread_id = w.thread_id AND t.changed_at > w.since JOIN threads_thread h ON h.id = t.thread_id
LEFT JOIN unnest(%(known)s::uuid[], %(known_at)s::timestamptz[]) AS k(id, changed_at) ON k.id = t.id AND k.changed_at = t.changed_at
LEFT JOIN threads_catalogmodel c ON c.slug = t.model
WHERE k.id IS NULL AND CASE
    WHEN t.status = 'queued' THEN t.created_at < now() - make_interval(secs => %(patience)s)
    WHEN NOT t.on_path THEN NOT EXISTS (
        SELECT 1 FROM threads_turn q WHERE q.thread_id = t.thread_id AND q.status = 'queued' AND q.number > t.number
        AND q.created_at > now() - make_interval(secs => %(patience)s))
    ELSE true END
ORDER BY t.number DESC LIMIT %(most)s
""")
UNFINISHED = Statement(f"""{SEEN}
FROM threads_turn t JOIN threads_thread h ON h.id = t.thread_id LEFT JOIN threads_catalogmodel c ON c.slug = t.model
WHERE t.thread_id = %(thread)s AND (t.id = h.active_turn_id OR t.status = 'queued') ORDER BY t.number LIMIT %(most)s
""")
TURN_ALONE = Statement(f"""
SELECT {columns("t", OUTLINED)}, CASE WHEN t.status = 'queued' THEN (
    SELECT count(*) FROM threads_turn q WHERE q.thread_id = t.thread_id
    AND (q.status = 'queued' AND q.number < t.number OR q.status IN ('running', 'waiting'))
) ELSE 0 END FROM threads_turn t JOIN threads_thread h ON h.id = t.thread_id
WHERE t.id = %(turn)s AND h.deleted_at IS NULL
""")
ANSWER = Statement(f"""
SELECT {columns("m", REASONED)} FROM threads_message m
WHERE m.turn_id = %(turn)s AND m.role = 'assistant' ORDER BY m.seq DESC LIMIT 1
""")
ROWS = Statement(f"""
SELECT {columns("m", REASONED)} FROM threads_message m
WHERE m.turn_id = %(turn)s AND m.seq > %(first)s ORDER BY m.seq
""")
CALLS = Statement(f"SELECT {columns('c', CALL)} FROM threads_toolcall c WHERE c.turn_id = %(turn)s ORDER BY c.position")
APPROVALS = Statement(f"""
SELECT {columns("a", ASKED)} FROM threads_approval a JOIN threads_toolcall c ON c.id = a.call_id
WHERE c.turn_id = %(turn)s ORDER BY a.created_at, a.id
""")
NEWEST_EVENT = Statement("SELECT index FROM threads_turnevent WHERE ring = %(ring)s AND turn_id = %(turn)s ORDER BY index DESC LIMIT 1")
EVENTS = Statement("""
SELECT w.place - 1, e.payloads
FROM unnest(%(rings)s::smallint[], %(turns)s::uuid[], %(nexts)s::int[]) WITH ORDINALITY AS w(ring, turn_id, next, place)
CROSS JOIN LATERAL (
    SELECT array_agg(payload ORDER BY index) AS payloads FROM threads_turnevent
    WHERE ring = w.ring AND turn_id = w.turn_id AND index >= w.next
) e
WHERE e.payloads IS NOT NULL
""")
SESSIONS = Statement("SELECT s.session_key FROM django_session s WHERE s.session_key = ANY(%(keys)s) AND s.expire_date > now()")
PASSWORDS = Statement("SELECT id, password FROM accounts_user WHERE id = ANY(%(users)s::uuid[]) AND is_active")


class Reader(Protocol):
    """Who follows a turn's journal: what the live page draws from, or a stream of events."""

    turn_id: UUID
    ring: int
    next_index: int
    ended: bool

    def feed(self, payloads: list[str]) -> None: ...


@dataclass(slots=True)
class Seen:
    """A turn with everything that its section of a page is drawn from."""

    turn: Turn
    thread: Thread
    label: str  # of the model
    siblings: list[UUID]  # its versions, itself included, in the order they were asked
    messages: list[Message]
    summary: Compaction | None  # in force, when it ends with this turn
    calls: dict[str, ToolCall]  # what a card shows of each, by its id; of turns that went on after them


class Feed:
    """One link, made anew when it breaks. Methods raise psycopg.OperationalError while PostgreSQL is away."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.link: Link | None = None

    async def _rows(self, statement: Statement, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        self.link = await living(self.link, self.conninfo)
        return await self.link.rows(statement, values)

    async def close(self) -> None:
        if self.link is not None:
            await self.link.close()

    async def threads(self, ids: Iterable[UUID]) -> list[Thread]:
        return list(map(_thread, await self._rows(THREADS_BY_ID, {"ids": array(ids)})))

    async def threads_since(self, users: Iterable[UUID], since: datetime, most: int) -> list[Thread]:
        return list(map(_thread, await self._rows(THREADS_SINCE, {"users": array(users), "since": since, "most": most})))

    async def mark_read(self, seqs: Mapping[tuple[UUID, UUID], int]) -> list[Thread]:
        """Note what people have had on screen, by (thread, user); the threads in which that was news."""
        values = {
            "threads": array(thread_id for thread_id, _ in seqs),
            "users": array(user_id for _, user_id in seqs),
            "seqs": array(seqs.values()),
        }
        return list(map(_thread, await self._rows(MARK_READ, values)))

    async def turns(self, ids: Iterable[UUID]) -> list[Seen]:
        """Turns of whatever thread, deleted ones included."""
        return list(map(_seen, await self._rows(TURNS_BY_ID, {"ids": array(ids)})))

    async def turns_since(
        self, since: Mapping[UUID, datetime], patience: float, most: int, known: Mapping[UUID, datetime] | None = None
    ) -> list[Seen]:
        """Changed turns of watched threads, newest first, without those that are still as in `known`."""
        known = known or {}
        values: dict[str, Any] = {"threads": array(since), "sinces": list(since.values()), "patience": patience, "most": most}
        values |= {"known": array(known), "known_at": list(known.values())}
        return list(map(_seen, await self._rows(TURNS_SINCE, values)))

    async def unfinished(self, thread_id: UUID, most: int) -> list[Seen]:
        return list(map(_seen, await self._rows(UNFINISHED, {"thread": thread_id, "most": most})))

    async def events(self, readers: Sequence[Reader]) -> list[tuple[Reader, list[str]]]:
        """Journal payloads that each of `readers` has not read yet."""
        values = {
            "rings": array(one.ring for one in readers),
            "turns": array(one.turn_id for one in readers),
            "nexts": array(one.next_index for one in readers),
        }
        return [(readers[place], payloads) for place, payloads in await self._rows(EVENTS, values)]

    async def turn(self, turn_id: UUID) -> Turn | None:
        """With how many are ahead of it. None when it is gone, its thread deleted included."""
        rows = await self._rows(TURN_ALONE, {"turn": turn_id})
        if not rows:
            return None
        *values, ahead = rows[0]
        turn = Turn.from_db("default", OUTLINED, values)
        turn.ahead = ahead
        return turn

    async def answer(self, turn_id: UUID) -> Message | None:
        """The turn's last message of the assistant."""
        rows = await self._rows(ANSWER, {"turn": turn_id})
        return Message.from_db("default", REASONED, rows[0]) if rows else None

    async def kept(self, turn: Turn) -> Kept:
        """What is stored of a turn behind its question."""
        values = {"turn": turn.pk, "first": turn.first_seq}
        kept = Kept([Message.from_db("default", REASONED, row) for row in await self._rows(ROWS, values)])
        if any(block["type"] == "tool_use" for answer in kept.answers for block in answer.content):
            kept.calls = [ToolCall.from_db("default", CALL, row) for row in await self._rows(CALLS, values)]
            kept.approvals = [Approval.from_db("default", ASKED, row) for row in await self._rows(APPROVALS, values)]
        return kept

    async def newest_event(self, ring: int, turn_id: UUID) -> int | None:
        """Index of the last event in the turn's journal; None when it was emptied."""
        rows = await self._rows(NEWEST_EVENT, {"ring": ring, "turn": turn_id})
        return rows[0][0] if rows else None

    async def sessions(self, keys: list[str]) -> set[str]:
        return {key for (key,) in await self._rows(SESSIONS, {"keys": keys})}

    async def passwords(self, users: Iterable[UUID]) -> dict[UUID, str]:
        return dict(await self._rows(PASSWORDS, {"users": array(users)}))


def _thread(row: tuple[Any, ...]) -> Thread:
    return Thread.from_db("default", THREAD, row)


def _seen(row: tuple[Any, ...]) -> Seen:
    turn, thread = row[: len(TURN)], row[len(TURN) : len(TURN) + len(THREAD)]
    label, siblings, messages, summary, calls = row[len(TURN) + len(THREAD) :]
    found = Turn.from_db("default", TURN, turn)
    return Seen(
        turn=found,
        thread=_thread(thread),
        label=label,
        siblings=siblings or [found.id],
        messages=[_message(one) for one in messages or ()],
        summary=Compaction(**summary) if summary else None,
        calls={tool_use_id: _call(one) for tool_use_id, one in (calls or {}).items()},
    )


def _call(row: list[Any]) -> ToolCall:
    status, error_kind, started_at, finished_at = row
    times = {"started_at": started_at, "finished_at": finished_at}
    return ToolCall(status=status, error_kind=error_kind, **{name: at and datetime.fromisoformat(at) for name, at in times.items()})


def _message(row: list[Any]) -> Message:
    """From JSON, where ids and times are text."""
    values = dict(zip(MESSAGE, row, strict=True))
    for name in ("id", "thread_id", "turn_id"):
        values[name] = UUID(values[name])
    values["created_at"] = datetime.fromisoformat(values["created_at"])
    return Message.from_db("default", MESSAGE, list(values.values()))
