"""Search among a million messages: how long, whether it finds what it should, and only that."""

from __future__ import annotations

import json
import os
import random
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock
from uuid import UUID, uuid4

from django.db import connection
from django.utils import timezone

from accounts import keys
from accounts.models import User
from bench import search_rows
from bench.lab import percentile
from bench.measures import Line, spread
from bench.search_rows import Rows
from chatai.management.commands.up import app_commands
from search import generations, vectors
from search.chunks import tokens
from search.models import Passage
from search.query import Owner, find

if TYPE_CHECKING:
    from bench.stack import Stack

MILLION = 1_000_000
PER_OWNER = 100
AT = 10  # hits
SLOW = 50.0  # ms, in the database
SLOW_API = 120.0  # ms, with the vector of the query
WITHOUT = 300.0  # ms, when nobody embeds
PATIENCE = 120.0  # seconds until the embedder shows itself
BACKLOG = 1000  # passages
ENDS = 5  # answers
SOON = 5.0  # seconds

# The nearest by looking at each, whatever the owner's size, and those that are as near as the last of them.
EXACT = """
SELECT message_id FROM search_passage WHERE user_id = %s AND generation_id = %s
ORDER BY (vector <#> %s::halfvec(384)) + 0 FETCH FIRST %s ROWS WITH TIES
"""
VECTOR = """
SELECT l2_normalize(a.vector + b.vector)::text FROM
    (SELECT vector FROM search_passage WHERE user_id = %s AND generation_id = %s OFFSET %s LIMIT 1) a,
    (SELECT vector FROM search_passage WHERE user_id = %s AND generation_id = %s OFFSET %s LIMIT 1) b
"""


def size(quick: bool) -> int:
    """Messages: SEARCH_ROWS, or a million, or few."""
    return int(os.environ.get("SEARCH_ROWS", "")) if os.environ.get("SEARCH_ROWS") else 20_000 if quick else MILLION


def measure(stack: Stack, messages: int, searches: int) -> list[Line]:
    owners = max(10, messages // PER_OWNER)
    rows = search_rows.kept(owners)
    if rows is None:
        rows = search_rows.make(messages, owners)
        search_rows.settle()
    else:
        search_rows.rest()
    chance = random.Random(7)
    about = f"{messages:,} messages of {len(rows.owners):,} people"
    lines = []
    for name, asking, bar in (
        (f"search in the database, {about}, p95", chance.sample(rows.owners, min(searches, len(rows.owners))), SLOW),
        (f"  of one with {rows.count(rows.middling):,}, p95", [rows.middling] * (searches // 4), SLOW),
        (f"  of one with {rows.count(rows.huge):,}, p95", [rows.huge] * (searches // 4), SLOW),
    ):
        times = database(rows, asking, chance)
        lines.append(Line(name, percentile(times, 0.95), "ms", spread(times), bar, raw={"ms": times}))
    lines += right(rows, chance)
    lines += through_the_api(stack, rows, searches, chance)
    return lines


def database(rows: Rows, owners: list[UUID], chance: random.Random) -> list[float]:
    """Milliseconds of the hybrid query with a vector at hand, for each of these owners; after a few that warm up."""
    times = []
    for number, owner in enumerate([*owners[:10], *owners]):
        with given_vector(vector_near(rows, owner, chance)):
            began = time.perf_counter()
            find(_owner(owner), _words(chance), limit=AT)
            took = (time.perf_counter() - began) * 1000
        if number >= min(10, len(owners)):
            times.append(took)
    return times


def right(rows: Rows, chance: random.Random) -> list[Line]:
    """Whether what is nearest is found, and nothing of others."""
    ten = set()
    for words in ("ferry", *(_words(chance) for _ in range(20))):
        with given_vector(vector_near(rows, rows.owners[0], chance)):
            ten |= {hit.message_id for hit in find(_owner(rows.lonely), words, limit=50).hits}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM search_passage WHERE message_id = ANY(%s) AND user_id <> %s", [list(ten), rows.lonely])
        foreign = cursor.fetchone()[0]
    small = [recall(rows, owner, chance) for owner in [*rows.owners[:20], *[rows.middling] * 10]]
    huge = [recall(rows, rows.huge, chance) for _ in range(40)]
    return [
        Line("found of a person's ten messages", len(ten), "", "whose texts others have too", 10, at_least=True),
        Line("  foreign rows among them", foreign, "", "", 0),
        Line("recall@10 against exact, where each is looked at", sum(small) / len(small), "", "", 1, at_least=True),
        Line(
            "recall@10 against exact, of the index of neighbours", sum(huge) / len(huge), "", f"least {min(huge):.1f}", 0.95, at_least=True
        ),
    ]


def recall(rows: Rows, owner: UUID, chance: random.Random) -> float:
    """The share of the ten nearest messages that a search by meaning finds."""
    vector = vector_near(rows, owner, chance)
    with connection.cursor() as cursor:
        cursor.execute(EXACT, [owner, rows.generation, vector, AT])
        exact = {message for (message,) in cursor.fetchall()}
    with given_vector(vector):
        found = {hit.message_id for hit in find(_owner(owner), "anything", mode="semantic", limit=AT).hits}
    return len(found & exact) / AT


def through_the_api(stack: Stack, rows: Rows, searches: int, chance: random.Random) -> list[Line]:
    """As an app searches: with nobody to embed its queries, then with the vector of queries that nobody asked before."""
    owners = User.objects.filter(pk__in=chance.sample(rows.owners, 4))
    secrets = [keys.mint(owner, "bench", scope="admin")[1] for owner in owners]

    def asked(count: int) -> list[float]:
        return [_ask(stack, secrets[number % len(secrets)], f"{_words(chance)} {number}")[0] for number in range(count)]

    asked(10)
    without = asked(searches // 4)
    lines = [Line("search at the API while nobody embeds, p95", percentile(without, 0.95), "ms", spread(without), WITHOUT)]
    command = app_commands().get("embed")
    if command is None:
        return lines
    stack.start("embed", command)
    _until(lambda: vectors.somebody_embeds(generations.models()), "embed")
    asked(10)
    times = asked(searches)
    lines.insert(0, Line("search at the API, with the query's vector, p95", percentile(times, 0.95), "ms", spread(times), SLOW_API))
    if stack.worker:
        lines += [searchable(stack, secrets[0]), *throughput(rows)]
    return [*lines, Line("memory of the process that embeds", stack.memory()["embed"], "MB", "proportional set size", 1024)]


def searchable(stack: Stack, secret: str) -> Line:
    """Seconds from the end of an answer until it is found, by its words and its meaning."""
    times = []
    for _ in range(ENDS):
        thread = _post(stack, secret, "/v1/threads", {})["id"]
        word = f"zeppelin{uuid4().hex[:8]}"
        _post(stack, secret, f"/v1/threads/{thread}/messages", {"content": f"About the {word}", "model": "demo"})
        began = time.perf_counter()
        _until(lambda: any(hit["match"] == "both" for hit in _ask(stack, secret, word)[1]), "the message in the index")  # noqa: B023
        times.append(time.perf_counter() - began)
    return Line("searchable after the end of an answer", max(times), "s", spread(times), SOON)


def throughput(rows: Rows) -> list[Line]:
    """Passages a second that the running process gives vectors."""
    mine = Passage.objects.filter(user=rows.middling)
    ids = list(mine.values_list("pk", flat=True)[:BACKLOG])
    length = tokens(" ".join(Passage.objects.filter(pk__in=ids).values_list("text", flat=True))) / len(ids)
    backlog = Passage.objects.filter(pk__in=ids)
    backlog.update(due_at=timezone.now())
    _until(lambda: backlog.filter(due_at=None).exists(), "the first vectors")
    first, began = backlog.filter(due_at=None).count(), time.perf_counter()
    _until(lambda: not backlog.exclude(due_at=None).exists(), "all vectors", 4 * PATIENCE)
    return [
        Line("embedding", (len(ids) - first) / (time.perf_counter() - began), "passages/s", f"of {length:.0f} tokens, {len(ids)} of them")
    ]


@contextmanager
def given_vector(vector: str) -> Iterator[None]:
    """Queries have this vector at hand."""
    with mock.patch.object(vectors, "of_query", return_value=vector):
        yield


def vector_near(rows: Rows, owner: UUID, chance: random.Random) -> str:
    """Between two messages of the owner, as a question lies near what it asks for."""
    with connection.cursor() as cursor:
        cursor.execute(VECTOR, [owner, rows.generation, chance.randrange(5), owner, rows.generation, chance.randrange(5, 10)])
        return str(cursor.fetchone()[0])


def _owner(owner: UUID) -> Owner:
    return Owner(User(pk=owner))


def _words(chance: random.Random) -> str:
    return " ".join(chance.sample(search_rows.WORDS.split(), 3))


def _ask(stack: Stack, secret: str, text: str) -> tuple[float, list[dict[str, Any]]]:
    """(milliseconds, hits) of a search by an app."""
    request = urllib.request.Request(f"{stack.base}/v1/search?q={urllib.parse.quote(text)}", headers={"x-api-key": secret})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=30) as answer:
        hits = json.load(answer)["data"]
    return (time.perf_counter() - began) * 1000, hits


def _post(stack: Stack, secret: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"x-api-key": secret, "Content-Type": "application/json"}
    request = urllib.request.Request(stack.base + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        given: dict[str, Any] = json.load(answer)
    return given


def _until(check: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds:g} s; see the logs in the temporary directory (--keep)")
        time.sleep(0.05)
