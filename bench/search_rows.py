"""A million messages of ten thousand people, indexed, with vectors that are made up: put straight into the tables."""

from __future__ import annotations

import random
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from accounts.models import User
from chatai.lib.ids import uuid7
from search import generations
from search.models import DIMENSIONS, Generation, Passage

POOL = 2000  # texts, and directions that vectors are put together of
PER_TURN = 2
TURNS = 10  # of a thread
DOMAIN = "search.invalid"
SPECIAL = ("middling", "huge", "lonely")
WORDS = """
ferry island harbour morning ticket passport train platform bicycle repair tyre kitchen recipe onion garlic flour oven
bread garden tomato seed frost winter heater insulation roof ladder paint wall colour window python function variable
loop test error server network docker port firewall backup restore index query table column price invoice tax deadline
contract lawyer doctor tablet sleep running marathon shoe knee physio guitar chord melody novel chapter author poem
grammar verb spanish teacher exam planet orbit telescope energy battery solar panel budget savings interest bank loan
meeting agenda manager interview salary
"""

POOLS = """
CREATE TEMPORARY TABLE pool (number int PRIMARY KEY, text text, words tsvector, vector halfvec(384));
INSERT INTO pool SELECT t.number, t.text, to_tsvector('english', search_fold(t.text)), l2_normalize(v.vector::halfvec(384))
FROM unnest(%(numbers)s::int[], %(texts)s::text[], %(vectors)s::text[]) AS t(number, text, raw)
CROSS JOIN LATERAL (SELECT t.raw::halfvec(384) AS vector) v;
"""
# Of owner `o` the messages 1 to `count`; numbers of the pool follow from both, so that many texts are equal and no vector is.
THREADS = """
INSERT INTO threads_thread (id, user_id, title, title_source, title_due, model, turn_count, last_seq, read_seq, cost_micros, created_at,
    last_active_at, changed_at)
SELECT gen_random_uuid(), o.id, 'Talk ' || n, 'user', false, 'demo', %(turns)s, %(turns)s * 2, 0, 0, now(),
    now() - n * interval '1 hour', now()
FROM unnest(%(owners)s::uuid[]) AS o(id), generate_series(1, %(threads)s) n
"""
TURN_ROWS = """
INSERT INTO threads_turn (id, thread_id, number, on_path, request_id, request_digest, model, options, price, status, epoch, attempts,
    runner, first_seq, error_kind, error_message, usage, cost_micros, outline, created_at, changed_at, finished_at)
SELECT gen_random_uuid(), t.id, n, true, n::text, '', 'demo', '{}', '{}', 'done', 1, 1, '', n * 2 - 1, '', '', '{}', 0, '',
    t.last_active_at, now(), now()
FROM threads_thread t, generate_series(1, %(turns)s) n WHERE t.user_id = ANY(%(owners)s::uuid[])
"""
MESSAGES = """
INSERT INTO threads_message (id, thread_id, turn_id, seq, on_path, role, content, status, model, stop_reason, cost_micros, created_at)
SELECT gen_random_uuid(), r.thread_id, r.id, r.first_seq + h.half, true, CASE h.half WHEN 0 THEN 'user' ELSE 'assistant' END,
    jsonb_build_array(jsonb_build_object('type', 'text', 'text', p.text)), 'complete', 'demo', '', 0, r.created_at
FROM threads_turn r JOIN threads_thread t ON t.id = r.thread_id CROSS JOIN (VALUES (0), (1)) AS h(half)
JOIN pool p ON p.number = abs(hashtext(r.id::text || h.half)) %% %(pool)s
WHERE t.user_id = ANY(%(owners)s::uuid[])
"""
PASSAGES = """
INSERT INTO search_passage (user_id, generation_id, message_id, number, passages, thread_id, turn_id, role, model, sent_at, on_path,
    language, text, words, vector, due_at, tries, large, indexed_at)
SELECT t.user_id, %(generation)s, m.id, 0, 1, m.thread_id, m.turn_id, m.role, 'demo', m.created_at, true, 'english', a.text, a.words,
    l2_normalize(a.vector + b.vector + c.vector), NULL, 1, false, now()
FROM threads_message m JOIN threads_thread t ON t.id = m.thread_id
JOIN pool a ON a.number = abs(hashtext(m.turn_id::text || (m.seq - 1) %% 2)) %% %(pool)s
JOIN pool b ON b.number = abs(hashtext(m.id::text)) %% %(pool)s
JOIN pool c ON c.number = abs(hashtext(m.id::text || 'c')) %% %(pool)s
WHERE t.user_id = ANY(%(owners)s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Rows:
    generation: int
    owners: list[UUID]  # who share the messages equally
    middling: UUID  # with so many that words go by index
    huge: UUID  # with so many that neighbours do, too
    lonely: UUID  # with ten messages, whose texts others have too

    def count(self, owner: UUID) -> int:
        """How many messages are theirs."""
        return Passage.objects.filter(user=owner).count()


def kept(owners: int) -> Rows | None:
    """The rows that an earlier run has left in this database, if they are of as many owners."""
    known = dict(User.objects.filter(email__endswith=f"@{DOMAIN}").values_list("email", "pk"))
    if len(known) != owners + len(SPECIAL):
        return None
    special = [known.pop(f"{name}@{DOMAIN}") for name in SPECIAL]
    return Rows(Generation.objects.get(state=Generation.State.SERVING).pk, list(known.values()), *special)


def make(messages: int, owners: int) -> Rows:
    """That many messages of that many owners, and three owners of particular sizes on top."""
    generations.ensure()
    generation = Generation.objects.get(state=Generation.State.SERVING)
    Generation.objects.update(filled_at=generation.created_at)
    everyone = [_user(f"owner{number}") for number in range(owners)]
    special = [_user(name) for name in SPECIAL]
    chance = random.Random(6)
    texts = [" ".join(chance.choices(WORDS.split(), k=chance.randint(8, 120))) for _ in range(POOL)]
    vectors = [str([round(chance.gauss(0, 1), 3) for _ in range(DIMENSIONS)]) for _ in range(POOL)]
    _users(everyone + special)
    with connection.cursor() as cursor:
        for statement in POOLS.split(";\n")[:2]:
            cursor.execute(statement, {"numbers": list(range(POOL)), "texts": texts, "vectors": vectors})
        sizes = [(everyone[start : start + 500], messages // owners) for start in range(0, owners, 500)]
        middling = min(generations.HUGE * 36 // 100, messages)
        huge = min(generations.HUGE * 6 // 5, 2 * messages)
        for group, each in [*sizes, ([special[0]], middling), ([special[1]], huge), ([special[2]], 10)]:
            _conversations(cursor, [owner for owner, _ in group], each, generation.pk)
        cursor.execute("DROP TABLE pool")
    ids = [owner for owner, _ in special]
    return Rows(generation.pk, [owner for owner, _ in everyone], *ids)


def settle() -> None:
    """As a night later: with indexes for who is large (built at once, which is faster than row by row)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'passage_vectors_huge'")
        definition = cursor.fetchone()[0]
        cursor.execute("DROP INDEX passage_vectors_huge")
        while generations.find_large():
            pass
        cursor.execute("SET maintenance_work_mem = '1GB'")
        cursor.execute(definition)
    rest()


def rest() -> None:
    """What autovacuum does in a quiet moment."""
    with connection.cursor() as cursor:
        for table in ("search_passage", "threads_message", "threads_thread", "threads_turn", "accounts_user"):
            cursor.execute(f"VACUUM ANALYZE {table}")


def _user(name: str) -> tuple[UUID, str]:
    return uuid7(), f"{name}@{DOMAIN}"


def _users(users: list[tuple[UUID, str]]) -> None:
    User.objects.bulk_create([User(pk=pk, email=email, password="!") for pk, email in users], batch_size=2000)


def _conversations(cursor: object, owners: list[UUID], each: int, generation: int) -> None:
    turns = min(TURNS, max(1, each // PER_TURN))
    values = {"owners": owners, "turns": turns, "threads": max(1, each // PER_TURN // turns), "pool": POOL, "generation": generation}
    for statement in (THREADS, TURN_ROWS, MESSAGES, PASSAGES):
        cursor.execute(statement, values)  # type: ignore[attr-defined]
