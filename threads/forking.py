"""A fork: another conversation that begins with a copy of this one up to some turn. The original stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection, transaction

from chatai.lib import hints
from chatai.lib.ids import uuid7
from threads import branches
from threads.models import Thread, Turn
from threads.refusals import Refused, missing

if TYPE_CHECKING:
    from accounts.models import User

SUFFIX = " (fork)"

PATH = """
WITH RECURSIVE up AS (
    SELECT id, parent_id, number FROM threads_turn WHERE id = %s
    UNION ALL SELECT t.id, t.parent_id, t.number FROM threads_turn t JOIN up ON t.id = up.parent_id
)
SELECT id FROM up ORDER BY number
"""

# Copies cost nothing: what they cost was spent once, in the original. Sequence numbers have no gaps here. Nor are they news: nobody
# has a page without them, and one with many would be told to load anew for as long as they are.
COPY = """
WITH copy AS (
    SELECT * FROM unnest(%(old)s::uuid[], %(new)s::uuid[]) WITH ORDINALITY AS c(old, new, place)
), numbered AS (
    SELECT m.*, copy.new AS new_turn, row_number() OVER (ORDER BY m.seq) AS new_seq
    FROM threads_message m JOIN copy ON m.turn_id = copy.old WHERE m.seq IS NOT NULL
), begins AS (SELECT new_turn, min(new_seq) AS seq FROM numbered GROUP BY new_turn),
turns AS (
    INSERT INTO threads_turn (id, thread_id, key_id, number, parent_id, on_path, request_id, request_digest, model, options, price,
        status, epoch, attempts, runner, first_seq, error_kind, error_message, usage, cost_micros, outline, created_at, changed_at,
        started_at, first_token_at, finished_at, copied_from)
    SELECT copy.new, %(thread)s, t.key_id, copy.place, lag(copy.new) OVER (ORDER BY copy.place), true, copy.new::text, t.request_digest,
        t.model, t.options, t.price, t.status, 0, 0, '', begins.seq, t.error_kind, t.error_message, '{}', 0, t.outline, t.created_at,
        t.changed_at, t.started_at, t.first_token_at, t.finished_at, t.id
    FROM copy JOIN threads_turn t ON t.id = copy.old JOIN begins ON begins.new_turn = copy.new
), messages AS (
    INSERT INTO threads_message (id, thread_id, turn_id, seq, on_path, role, content, status, model, stop_reason, usage, cost_micros,
        created_at)
    SELECT gen_random_uuid(), %(thread)s, new_turn, new_seq, true, role, content, status, model, stop_reason, usage, 0, created_at
    FROM numbered
), summaries AS (
    INSERT INTO threads_compaction (id, thread_id, through_seq, summary, model, usage, cost_micros, created_at, undone_at)
    SELECT gen_random_uuid(), %(thread)s, n.new_seq, c.summary, c.model, '{}', 0, c.created_at, c.undone_at
    FROM threads_compaction c JOIN numbered n ON n.seq = c.through_seq AND n.thread_id = c.thread_id
), outbox AS (
    INSERT INTO threads_outbox (turn_id, kind, created_at) SELECT new, 'index', now() FROM copy
), files AS (
    INSERT INTO threads_storedfile_threads (storedfile_id, thread_id)
    SELECT DISTINCT f.storedfile_id, %(thread)s FROM numbered n
    CROSS JOIN LATERAL jsonb_path_query(n.content, '$.**.file_id') AS named(id)
    JOIN threads_storedfile_threads f ON f.thread_id = n.thread_id
        AND named.id #>> '{}' = 'file_' || replace(f.storedfile_id::text, '-', '')
)
UPDATE threads_thread SET turn_count = (SELECT count(*) FROM copy), last_seq = n.rows, read_seq = n.rows
FROM (SELECT count(*) AS rows FROM numbered) n WHERE id = %(thread)s
"""


def fork(user: User, turn_id: UUID, new_id: UUID) -> UUID:
    """Make thread `new_id`, a copy up to that turn, and return its id; the same again finds it made. Raises Refused."""
    turn = Turn.objects.for_user(user).filter(pk=turn_id, first_seq__isnull=False, deleted_at=None).select_related("thread").first()
    if turn is None:
        raise missing()
    if not turn.over:
        raise Refused(409, "conflict_error", "An answer is being written. Stop it or wait for its end.")
    source = turn.thread
    title = f"{source.title[: 200 - len(SUFFIX)]}{SUFFIX}" if source.title else ""
    # Of the same key and end user: what is erased or seen with the original is erased and seen with the copy.
    same = {"user": user, "key_id": source.key_id, "end_user_id": source.end_user_id, "title_source": source.title_source}
    with transaction.atomic(), connection.cursor() as cursor:
        Thread.objects.bulk_create([Thread(id=new_id, title=title, model=turn.model, **same)], ignore_conflicts=True)
        if branches.locked(user, new_id).turn_count == 0:
            cursor.execute(PATH, [turn_id])
            path = [one for (one,) in cursor.fetchall()]
            cursor.execute(COPY, {"thread": new_id, "old": path, "new": [uuid7() for _ in path]})
        elif not Turn.objects.filter(thread=new_id, copied_from=turn_id).exists():
            raise Refused(422, "idempotency_error", "This request id was already used for something else. Reload the page.")
        transaction.on_commit(lambda: hints.announce("live", "rows", new_id))
    return new_id
