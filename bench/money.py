"""What holding and settling money adds to a turn's two statements, measured against the same statements without those parts."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any
from uuid import uuid4

import psycopg
from django.db import connection
from psycopg import Cursor, RawCursor
from psycopg.rows import tuple_row

from accounts.models import User
from bench.measures import Line, spread
from bench.stack import MODEL
from billing.models import Budget, Reservation
from billing.side_calls import line_values
from billing.statements import ADMIT_GATES, ADMIT_HOLD, FINISH_PARTS, GRANT
from chatai.lib.ids import uuid7
from chatai.lib.postgres import conninfo
from chatai.lib.prepared import Statement
from threads import admission
from threads.models import Thread, Turn
from threads.replies import store

EMAIL = f"money-{secrets.token_hex(4)}@bench.invalid"
WARM_UP = 30
USAGE = {"input_tokens": 900, "output_tokens": 60}
# What the claim would do; it is the same with and without money, so it is not timed.
CLAIM = """
WITH turn AS (
    UPDATE threads_turn SET status = 'running', epoch = 1, lease_until = now() + interval '1 minute', ring = 0, started_at = now()
    WHERE id = %(turn)s RETURNING id, thread_id
) UPDATE threads_thread th SET active_turn_id = turn.id FROM turn WHERE th.id = turn.thread_id
"""


def make_account(threads: int) -> list[dict[str, str]]:
    """One account with that many conversations, as so many people of the load generator."""
    from bench import people

    person = people.make(1, EMAIL)[0]
    user = User.objects.get(email=EMAIL)
    more = Thread.objects.bulk_create([Thread(user=user, title=f"Talk {number}") for number in range(threads)])
    return [{**person, "thread": str(thread.pk)} for thread in more]


def added(turns: int) -> list[Line]:
    """Milliseconds of ADMIT and FINISH with money and without, in turns, by one sender that nobody else disturbs."""
    gates = f", {ADMIT_GATES}", ", bill WHERE bill.micros IS NOT NULL", f", granted AS (SELECT bill.* FROM bill, turn), {ADMIT_HOLD}"
    plain = Statement(_without(admission.ADMIT, *gates)), _without(store.FINISH, f", {FINISH_PARTS}")
    whole = Statement(f"{admission.ADMIT}, {GRANT}"), store.FINISH
    times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    user = User.objects.get(email=EMAIL)
    threads = {paid: Thread.objects.create(user=user) for paid in times}
    connection.ensure_connection()
    for number in range(turns + WARM_UP):
        for paid, statements in ((True, whole), (False, plain)):
            took = _turn(connection.connection, user, threads[paid], statements)
            if number >= WARM_UP:
                times[paid].append(took)
    Turn.objects.filter(thread__in=threads.values()).delete()
    sums = {paid: [admit + finish for admit, finish in took] for paid, took in times.items()}
    more = median(sums[True]) - median(sums[False])
    admits, finishes = ({paid: median(one[part] for one in took) for paid, took in times.items()} for part in (0, 1))
    told = f"admit {admits[False]:.2f} → {admits[True]:.2f}, finish {finishes[False]:.2f} → {finishes[True]:.2f}"
    raw = {"with_ms": sums[True], "without_ms": sums[False]}
    return [
        Line("added by holding and settling money, p50", more, "ms", told, 1, raw=raw),
        Line("  both statements with money, p50", median(sums[True]), "ms", spread(sums[True])),
    ]


def crowded(senders: int, seconds: float) -> list[Line]:
    """Admissions a second of one account by as many connections: what the rows allow that all of them share, whatever a door costs."""
    user = User.objects.get(email=EMAIL)
    threads = [Thread.objects.create(user=user) for _ in range(senders)]
    statement, dsn, until = Statement(admission.ADMIT), conninfo("bench"), time.monotonic() + seconds

    def send(thread: Thread) -> int:
        sent = 0
        with psycopg.connect(dsn, autocommit=True) as wire, RawCursor(wire, row_factory=tuple_row) as raw:
            while time.monotonic() < until:
                values = admission._values(user, thread.pk, "How do I keep a sourdough starter alive?", MODEL, str(uuid4()), None, {})
                raw.execute(statement.text, statement.arguments(values), prepare=True).fetchone()
                sent += 1
        return sent

    with ThreadPoolExecutor(senders) as pool:
        sent = sum(pool.map(send, threads))
    turns = Turn.objects.filter(thread__in=threads)
    admitted = turns.count()
    Reservation.objects.filter(pk__in=turns.values("pk")).delete()
    Budget.objects.for_user(user).update(reserved_micros=0)
    turns.delete()
    told = f"{senders} connections, {sent - admitted} refused"
    return [Line("admissions of one account, at the database", admitted / seconds, "/s", told, 200, at_least=True)]


def _without(statement: str, *parts: str) -> str:
    for part in parts:
        assert part in statement, "the statement is put together differently now"
        statement = statement.replace(part, "")
    return statement


def _turn(wire: psycopg.Connection[Any], user: User, thread: Thread, statements: tuple[Statement, str]) -> tuple[float, float]:
    """One turn from admission to end; milliseconds of the two statements, each with its commit."""
    admit, finish = statements
    values = admission._values(user, thread.pk, "How do I keep a sourdough starter alive?", MODEL, str(uuid4()), None, {})
    with Cursor(wire, row_factory=tuple_row) as cursor, RawCursor(wire, row_factory=tuple_row) as raw:
        began = time.perf_counter()
        raw.execute(admit.text, admit.arguments(values), prepare=True).fetchone()
        admitted = time.perf_counter()
        cursor.execute(CLAIM, values)
        given = _end(values)
        finishing = time.perf_counter()
        assert cursor.execute(finish, given, prepare=True).fetchone() is not None
        return (admitted - began) * 1000, (time.perf_counter() - finishing) * 1000


def _end(values: dict[str, Any]) -> dict[str, Any]:
    """Parameters of FINISH for a short answer."""
    about = {name: values[name] for name in ("thread", "turn", "answer")} | {"epoch": 1, "status": "done", "message_status": "complete"}
    error: dict[str, Any] = {"error_kind": "", "error_message": "", "retry_after": None, "stop_reason": "end_turn"}
    error |= {"first_token_at": None, "worth_title": False, "iterations": 1, "hit_max_iterations": False}
    answer: dict[str, Any] = {"content": '[{"type": "text", "text": "Feed it."}]', "usage": store.as_json(USAGE), "outline": b""}
    answer |= {"turn_cost": 960, "answer_usage": store.as_json(USAGE), "answer_cost": 960}
    journal = {"indexes": [0], "payloads": ['{"type": "message_stop"}'], "context_tokens": 960, "line": uuid7()}
    return {**about, **error, **answer, **journal, **line_values(USAGE, 960, "anthropic", MODEL)}
