"""Messages into passages: the words at once, the vectors when the embedder comes to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from search.chunks import passages
from search.languages import language_of

# Of a turn the question and the final answer; what lies between them (calls of tools and their results) is not searched.
ENDS = """
    m.seq IS NOT NULL AND m.status <> 'streaming' AND m.seq = CASE m.role
        WHEN 'user' THEN (SELECT min(o.seq) FROM threads_message o WHERE o.turn_id = m.turn_id AND o.role = 'user')
        ELSE (SELECT max(o.seq) FROM threads_message o WHERE o.turn_id = m.turn_id AND o.role = 'assistant') END
"""
# As threads.blocks.text_of, without bringing along what else a message holds.
TEXT = """(SELECT string_agg(b.block ->> 'text', E'\\n\\n' ORDER BY b.place)
    FROM jsonb_array_elements(m.content) WITH ORDINALITY AS b(block, place) WHERE b.block ->> 'type' = 'text')"""
OF_TURNS = f"SELECT m.id, {TEXT} FROM threads_message m WHERE m.turn_id = ANY(%s) AND {ENDS}"

# The lock makes this and a change of the path wait for each other: the trigger finds the passages, or they find the new path. Once
# for every generation that answers or will; what is there already stays.
STORE = """
WITH message AS MATERIALIZED (
    SELECT m.id, m.thread_id, m.turn_id, m.role, m.model, m.created_at, m.on_path FROM threads_message m
    WHERE m.id = ANY(%(messages)s::uuid[]) FOR SHARE
)
INSERT INTO search_passage (user_id, generation_id, message_id, number, passages, thread_id, turn_id, key_id, end_user_id, role, model,
    sent_at, on_path, language, text, words, due_at, tries, large, huge, indexed_at)
SELECT th.user_id, g.id, m.id, given.number, given.passages, m.thread_id, m.turn_id, th.key_id, th.end_user_id, m.role,
    coalesce(nullif(m.model, ''), t.model), m.created_at, m.on_path, given.language, given.text,
    to_tsvector(given.language::regconfig, search_fold(given.text)), now(), 0, l.user_id IS NOT NULL, coalesce(l.huge, false), now()
FROM unnest(%(messages)s::uuid[], %(numbers)s::smallint[], %(passages)s::smallint[], %(languages)s::text[], %(texts)s::text[])
    AS given(message, number, passages, language, text)
JOIN message m ON m.id = given.message
JOIN threads_turn t ON t.id = m.turn_id
JOIN threads_thread th ON th.id = m.thread_id
JOIN search_generation g ON g.state <> 'retired' AND (%(generation)s::bigint IS NULL OR g.id = %(generation)s)
LEFT JOIN search_largeowner l ON l.user_id = th.user_id
ON CONFLICT (message_id, generation_id, number) DO NOTHING
"""


class Source(NamedTuple):
    """A message that is searched."""

    id: UUID
    text: str | None


def index_turns(turn_ids: Iterable[UUID]) -> None:
    """The question and the answer of each, in every generation. Nothing happens to those that are there."""
    store(sources(OF_TURNS, [list(turn_ids)]))


def sources(statement: str, values: Sequence[Any] | dict[str, Any]) -> list[Source]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [Source(*row) for row in cursor.fetchall()]


def store(found: Iterable[Source], generation: int | None = None) -> None:
    """The passages of these messages, in that generation or in all."""
    rows = [
        (message_id, number, len(parts), language, part)
        for message_id, text in found
        if text and (parts := passages(text))
        for language in (language_of(text),)
        for number, part in enumerate(parts)
    ]
    if rows:
        names = ("messages", "numbers", "passages", "languages", "texts")
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        with connection.cursor() as cursor:
            cursor.execute(STORE, {**columns, "generation": generation})
