"""Finding passages: words and meaning in one statement, always inside one owner's rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args
from uuid import UUID

from django.db import connection, transaction

from chatai.lib import prepared
from chatai.lib.prepared import Statement
from search import snippets, statement, vectors
from threads.blocks import clean_text
from threads.models import Message, Thread
from threads.refusals import Refused, missing

if TYPE_CHECKING:
    from accounts.models import ApiKey, User

Mode = Literal["hybrid", "semantic", "text"]
Match = Literal["text", "meaning", "both"]

MOST_CHARS = 2000  # of a query; nobody types more, and no embedder reads more
MOST_HITS = 50
DEEPEST = 1000  # hits that can be paged through
DEPTH = 200  # passages that each of the two orders has at least, before they become messages

# What is asked for to the letter: "in quotes", or -without (of three letters at least: `rm -rf` and `ls -la` are meant as they are).
QUOTED = re.compile(r'"[^"]*\w[^"]*"')
WITHOUT = re.compile(r"(?<!\S)-(?=\w{3})")
DASHES = re.compile(r"(?<!\S)-+(?!\w{3})|(?<!\S)--+")

# Which model's vectors answer, and whether the owner has so much that indexes pay.
STANDING = Statement("""
SELECT g.id, g.model, CASE WHEN l.huge_ready THEN 'huge' WHEN l.ready THEN 'large' ELSE 'ordinary' END
FROM search_generation g LEFT JOIN search_largeowner l ON l.user_id = %(user)s WHERE g.state = 'serving'
""")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose conversations are searched: all of a person's, or with a standard key those that the key made."""

    user: User
    key: ApiKey | None = None

    @property
    def only_key(self) -> UUID | None:
        return self.key.pk if self.key is not None and self.key.scope != "admin" else None


@dataclass(frozen=True, slots=True)
class Hit:
    """A message, by its best passage. Every hit is on the path: another version of a conversation is found when it is read again."""

    thread_id: UUID
    title: str
    turn_id: UUID
    message_id: UUID
    seq: int
    role: str
    model: str
    score: float  # cosine similarity, -1 to 1; without meaning how well the words fit, 0 to 1
    match: Match
    snippet: str  # plain text
    marks: list[tuple[int, int]]  # what matched, as places in the snippet: from, to (not included)
    created_at: datetime


class Found(NamedTuple):
    hits: list[Hit]
    meaning: bool  # False: meaning was not asked for or is off for now, the hits are those of the words
    more: bool  # whether another page follows


def find(
    owner: Owner,
    q: str,
    *,
    limit: int = 10,
    offset: int = 0,
    mode: Mode = "hybrid",
    thread_id: UUID | None = None,
    end_user_id: str | None = None,
    role: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    model: str | None = None,
) -> Found:
    """The messages that fit `q` best, the best first; `until` is not included. Raises Refused: 400, or 404 for a foreign thread."""
    text = _checked(q, limit, offset, mode, role)
    if thread_id is not None and not _threads(owner).filter(pk=thread_id).exists():
        raise missing()
    standing = prepared.row(STANDING, {"user": owner.user.pk})
    if standing is None:
        return Found([], False, False)  # nothing was ever indexed
    generation, embedder, size = standing
    vector = vectors.of_query(owner.user, embedder, text) if mode != "text" else None
    literal = _literal(text)
    values = {
        "user": owner.user.pk,
        "generation": generation,
        "query": DASHES.sub(" ", text) if literal else WITHOUT.sub(" ", DASHES.sub(" ", text)).replace('"', " "),
        "plain": text.replace('"', " "),
        "vector": vector,
        "thread": thread_id,
        "key": owner.only_key,
        "end_user": end_user_id,
        "role": role,
        "since": since,
        "until": until,
        "model": model,
        "depth": max(DEPTH, 4 * (offset + limit + 1)),
        "limit": limit + 1,
        "offset": offset,
    }
    arms: statement.Arms = "text" if vector is None else "meaning" if mode == "semantic" else "both"
    given = frozenset(name for name in statement.FILTERS if values[name] is not None)
    rows = _rows(statement.Kind(arms, literal, size, given), values)
    return Found([_hit(row, text) for row in rows[:limit]], vector is not None, len(rows) > limit)


def _checked(q: str, limit: int, offset: int, mode: str, role: str | None) -> str:
    """The query as it is searched for. Raises Refused."""
    text = " ".join(clean_text(q).replace("\ufffd", " ").split())
    if not text:
        raise _refused("q: what to search for is missing.")
    if len(text) > MOST_CHARS:
        raise _refused(f"q: at most {MOST_CHARS:,} characters, and this has {len(text):,}.")
    if not 1 <= limit <= MOST_HITS:
        raise _refused(f"limit: 1 to {MOST_HITS}.")
    if not 0 <= offset <= DEEPEST:
        raise _refused(f"offset: 0 to {DEEPEST:,}.")
    if mode not in get_args(Mode):
        raise _refused(f"mode: {', '.join(get_args(Mode))}.")
    if role is not None and role not in Message.Role.values:
        raise _refused(f"role: {' or '.join(Message.Role.values)}.")
    return text


def _literal(text: str) -> bool:
    """Whether quotes or a minus are meant. A minus with nothing beside it is how something is written (`-Xmx6G`)."""
    without = WITHOUT.search(text) is not None and any(not word.startswith("-") for word in text.split())
    return without or QUOTED.search(text) is not None


def _refused(sentence: str) -> Refused:
    return Refused(400, "invalid_request_error", sentence)


def _threads(owner: Owner) -> Any:
    return Thread.objects.for_key(owner.key) if owner.key is not None else Thread.objects.for_user(owner.user)


def _rows(kind: statement.Kind, values: dict[str, Any]) -> list[statement.Row]:
    anybody = kind.size == "ordinary"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.FOR_ANYBODY if anybody else statement.BY_INDEX)
        return [statement.Row(*row) for row in statement.build(kind).rows(values, prepare=anybody)]


def _hit(row: statement.Row, text: str) -> Hit:
    snippet, marks = snippets.around(row.marked)
    return Hit(
        thread_id=row.thread_id,
        title=row.title,
        turn_id=row.turn_id,
        message_id=row.message_id,
        seq=row.seq,
        role=row.role,
        model=row.model,
        score=row.score,
        match="both" if row.by_text and row.by_meaning else "text" if row.by_text else "meaning",
        snippet=snippet,
        marks=marks,
        created_at=row.sent_at,
    )
