"""The one statement of a search, put together from constants: passages by words, passages by meaning, fused into messages."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Literal, NamedTuple
from uuid import UUID

from chatai.lib.prepared import Statement
from search.languages import LANGUAGES
from search.models import DIMENSIONS
from search.snippets import MARK, UNMARK

# Reciprocal rank fusion: a place counts 1 / (K + place); a place by words that times the square of the share of the query's words
# which the passage has. Else every passage with one common word in it overtakes those that mean the same. On the labelled set
# (tests/search/pairs) recall@10 is 0.72 with K 60 and equal weights, 0.94 like this; the mean reciprocal rank 0.33 and 0.77.
K = 10
EXACT_BONUS = 1.0  # for the very words, one after the other: more than any place can give

MOST = 500  # passages of a large owner with all of the words, that are compared: the newest
EACH = 1000  # passages of a large owner with one of the words

Arms = Literal["both", "meaning", "text"]
Size = Literal["ordinary", "large", "huge"]  # of an owner: each passage is looked at; words go by index; neighbours do, too


class Row(NamedTuple):
    thread_id: UUID
    title: str
    turn_id: UUID
    message_id: UUID
    seq: int
    role: str
    model: str
    score: float
    by_text: bool
    by_meaning: bool
    marked: tuple[str, str]  # the passage, and its folded form with what matched between MARK and UNMARK
    sent_at: datetime


# What narrows a search, by the name of its value.
FILTERS = {
    "thread": "p.thread_id = %(thread)s",
    "key": "p.key_id = %(key)s",
    "end_user": "p.end_user_id = %(end_user)s",
    "role": "p.role = %(role)s",
    "since": "p.sent_at >= %(since)s",
    "until": "p.sent_at < %(until)s",
    "model": "p.model = %(model)s",
}
# The owner first. A deleted thread is out from the moment it is marked.
MINE = """p.user_id = %(user)s AND p.generation_id = %(generation)s AND p.on_path AND p.thread_id <> ALL (ARRAY(
        SELECT id FROM threads_thread WHERE user_id = %(user)s AND deleted_at IS NOT NULL))"""
# Each language's rows are asked in their language, in those that the owner has. `loose`: some of the words, unless the query is
# meant to the letter.
ASKED = """
asked AS MATERIALIZED (
    SELECT l.language, q.strict, q.phrase, q.lexemes, {loose} AS loose
    FROM (VALUES {languages}) AS l(language),
        LATERAL (SELECT search_fold(%(query)s) AS query, search_fold(%(plain)s) AS plain OFFSET 0) f,
        LATERAL (
            SELECT websearch_to_tsquery(l.language::regconfig, f.query) AS strict,
                phraseto_tsquery(l.language::regconfig, f.plain) AS phrase,
                tsvector_to_array(to_tsvector(l.language::regconfig, f.plain)) AS lexemes OFFSET 0
        ) q
    WHERE (SELECT true FROM search_passage p
        WHERE p.user_id = %(user)s AND p.generation_id = %(generation)s AND p.language = l.language LIMIT 1)
)"""
SOME_WORDS = "replace(q.strict::text, ' & ', ' | ')::tsquery"
# Of a large owner not every row that has one of the words is looked at. First those that have all of them; only where these are
# few, some of each word's: of a rare word that is all of them, and a common one says little.
COMPLETE = """
complete AS MATERIALIZED (
    SELECT p.ctid AS at, p.id FROM asked a JOIN search_passage p ON p.language = a.language
    WHERE {mine} AND p.words @@ a.strict ORDER BY p.sent_at DESC LIMIT {most}
)"""
LIKELY = """
likely AS MATERIALIZED (
    SELECT at FROM complete
    UNION
    SELECT one.at FROM asked a, unnest(a.lexemes) AS lexeme, LATERAL (
        SELECT p.ctid AS at FROM search_passage p
        WHERE {mine} AND p.language = a.language AND p.words @@ ({quoted})::tsquery LIMIT {each}
    ) one WHERE (SELECT count(*) FROM complete) < %(depth)s
)"""
QUOTED = r"'''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || ''''"
CANDIDATES = {False: "likely c JOIN search_passage p ON p.ctid = c.at", True: "complete c JOIN search_passage p ON p.ctid = c.at"}
# A row's words are unpacked once, and not by each function that reads them: of weight D they are anyway.
BY_TEXT = """
texts AS (
    SELECT *, row_number() OVER (ORDER BY exact DESC, complete DESC, weight DESC, sent_at DESC, id) AS place
    FROM (
        SELECT p.ctid AS at, p.id, p.message_id, p.sent_at, numnode(a.phrase) > 1 AND w.words @@ a.phrase AS exact,
            w.words @@ a.strict AS complete, ts_rank(w.words, a.loose, 1) AS weight
        FROM {rows} JOIN asked a ON a.language = p.language, LATERAL (SELECT setweight(p.words, 'D') AS words OFFSET 0) w
        WHERE {mine} AND w.words @@ a.loose
    ) matching
    ORDER BY place LIMIT %(depth)s
), by_text AS MATERIALIZED (
    SELECT message_id, row_number() OVER (ORDER BY min(place)) AS place, (array_agg(id ORDER BY place))[1] AS passage,
        bool_or(exact) AS exact, max(weight) AS weight, max(share) AS share
    FROM texts t, LATERAL ({share}) s GROUP BY message_id
)"""
SHARE = """SELECT (length(p.words) - length(ts_delete(p.words, a.lexemes)))::float8 / greatest(cardinality(a.lexemes), 1) AS share
        FROM search_passage p JOIN asked a ON a.language = p.language WHERE p.ctid = t.at"""
NO_SHARE = "SELECT 1.0 AS share"
BY_MEANING = """
meanings AS (
    SELECT p.id, p.message_id, p.vector <#> %(vector)s::halfvec({dimensions}) AS distance
    FROM search_passage p
    WHERE {mine} AND p.vector IS NOT NULL
    ORDER BY distance LIMIT %(depth)s
), by_meaning AS MATERIALIZED (
    SELECT message_id, row_number() OVER (ORDER BY min(distance)) AS place, (array_agg(id ORDER BY distance))[1] AS passage
    FROM meanings GROUP BY message_id
)"""
TO_THE_LETTER = {
    False: "EXISTS (SELECT FROM asked a WHERE a.language = p.language AND p.words @@ a.strict)",
    True: "p.id IN (SELECT id FROM complete)",
}
FUSED: dict[Arms, str] = {
    "both": f"""
fused AS (
    SELECT message_id, CASE WHEN t.exact OR m.passage IS NULL THEN t.passage ELSE m.passage END AS passage,
        t.place IS NOT NULL AS by_text, m.place IS NOT NULL AS by_meaning, t.weight,
        coalesce(t.share ^ 2 / ({K} + t.place), 0) + coalesce(1.0 / ({K} + m.place), 0)
            + CASE WHEN t.exact THEN {EXACT_BONUS} ELSE 0 END AS merit
    FROM by_text t FULL JOIN by_meaning m USING (message_id)
)""",
    "meaning": """
fused AS (SELECT message_id, passage, false AS by_text, true AS by_meaning, 0::real AS weight, -place AS merit FROM by_meaning)""",
    "text": """
fused AS (SELECT message_id, passage, true AS by_text, false AS by_meaning, weight, -place AS merit FROM by_text)""",
}
# What is shown is read from the conversation itself, and only if it is there, on the path, and the owner's.
SHOWN = """
shown AS (
    SELECT f.*, p.text, p.language, p.vector, p.model, m.seq, m.role, m.thread_id, m.turn_id, m.created_at, th.title
    FROM (SELECT * FROM fused ORDER BY merit DESC, message_id DESC) f JOIN search_passage p ON p.id = f.passage
    JOIN threads_message m ON m.id = f.message_id AND m.on_path AND m.seq IS NOT NULL
    JOIN threads_thread th ON th.id = m.thread_id AND th.user_id = %(user)s AND th.deleted_at IS NULL {of_key}
    ORDER BY f.merit DESC, f.message_id DESC LIMIT %(limit)s OFFSET %(offset)s
)
SELECT s.thread_id, s.title, s.turn_id, s.message_id, s.seq, s.role, s.model, {score}, s.by_text, s.by_meaning,
    ARRAY[s.text, ts_headline(s.language::regconfig, search_fold(s.text), a.loose, {options})], s.created_at
FROM shown s JOIN asked a ON a.language = s.language
ORDER BY s.merit DESC, s.message_id DESC
"""
HEADLINE = f"'HighlightAll=true, StartSel={MARK}, StopSel={UNMARK}'"

# The plan for anybody is as good as one's own, and is made once in a connection: making one takes as long as the search itself.
# Where indexes pay it depends on the words which of them do.
FOR_ANYBODY = "SELECT set_config('plan_cache_mode', 'force_generic_plan', true)"
# The graph of neighbours holds all huge owners: it is walked on until enough of this one's were met.
BY_INDEX = """
SELECT set_config('jit', 'off', true), set_config('hnsw.iterative_scan', 'relaxed_order', true),
    set_config('hnsw.ef_search', '200', true), set_config('hnsw.max_scan_tuples', '100000', true)
"""


class Kind(NamedTuple):
    """What the statement depends on, beside its values."""

    arms: Arms
    literal: bool  # the query has quotes or a minus that are meant
    size: Size
    given: frozenset[str]  # names of the filters


@cache
def build(kind: Kind) -> Statement:
    """The statement of that kind."""
    mine = " AND ".join([MINE, *(FILTERS[name] for name in sorted(kind.given))])
    large = kind.size != "ordinary"
    parts = [_asked(kind)]
    if large and (kind.literal or kind.arms != "meaning"):
        parts.append(COMPLETE.format(mine=f"{mine} AND p.large", most=MOST))
    if large and not kind.literal and kind.arms != "meaning":
        parts.append(LIKELY.format(mine=f"{mine} AND p.large", each=EACH, quoted=QUOTED))
    if kind.arms != "meaning":
        rows = CANDIDATES[kind.literal] if large else "search_passage p"
        parts.append(BY_TEXT.format(mine=mine, rows=rows, share=SHARE if kind.arms == "both" else NO_SHARE))
    if kind.arms != "text":
        parts.append(BY_MEANING.format(mine=_near(kind, mine), dimensions=DIMENSIONS))
    words = "s.weight / (s.weight + 1)"
    score = words if kind.arms == "text" else f"coalesce(-(s.vector <#> %(vector)s::halfvec({DIMENSIONS})), {words})"
    of_key = "AND th.key_id = %(key)s" if "key" in kind.given else ""
    shown = SHOWN.format(of_key=of_key, score=score, options=HEADLINE)
    return Statement("WITH " + ",".join([*parts, FUSED[kind.arms], shown]))


def _asked(kind: Kind) -> str:
    languages = ", ".join(f"('{name}')" for name in LANGUAGES)
    return ASKED.format(loose="q.strict" if kind.literal else SOME_WORDS, languages=languages)


def _near(kind: Kind, mine: str) -> str:
    """Which passages are compared with the vector."""
    if kind.literal:
        return f"{mine} AND {TO_THE_LETTER[kind.size != 'ordinary']}"
    return f"{mine} AND p.huge" if kind.size == "huge" else mine
