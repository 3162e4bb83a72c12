"""What is asked in other words is found. Measured on the labelled set with the real model, by words, by meaning and by both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from statistics import fmean
from uuid import UUID

import pytest
from django.db import connection
from django.test import override_settings

from accounts.models import User
from search import choice, embedder, vectors
from search.embedder import Embedder, Vectors
from search.query import Mode, Owner, find
from tests.search.labelled import Labelled, messages, store

MODES: tuple[Mode, ...] = ("text", "semantic", "hybrid")
AT = 10
LEAST, MARGIN = 0.90, 0.15  # of hybrid, and of hybrid over text
LEAST_OF_A_TOPIC = 0.75
FEW = 0.2  # of a question's words are in the message, on average

SHARED = """
SELECT avg(share) FROM unnest(%s::text[], %s::text[]) AS pair(text, asked), LATERAL (
    SELECT count(*) FILTER (WHERE lexeme = ANY (tsvector_to_array(to_tsvector('english', text))))::float / count(*) AS share
    FROM unnest(tsvector_to_array(to_tsvector('english', asked))) AS lexeme
) shared
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Remembering:
    """The real model, which sees each text once, however many tests ask for it."""

    def __init__(self, model: Embedder) -> None:
        self.model = model
        self.known: dict[str, str] = {}

    def vectors(self, texts: Sequence[str], urgent: bool = False) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        self.known |= zip(new, self.model.vectors(new).texts, strict=True)
        return Vectors([self.known[text] for text in texts], 0)


@cache
def model() -> Remembering:
    """With one thread: where others take the processor, two wait for each other most of the time."""
    with override_settings(EMBEDDING_THREADS=1):
        return Remembering(embedder.Local(choice.configured()))


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> Remembering:
    """Messages and queries get their vectors from it."""
    one = model()
    monkeypatch.setattr(embedder, "load", lambda _name: one)
    monkeypatch.setattr(vectors, "of_query", lambda _user, _model, text: one.vectors([text]).texts[0])
    return one


@pytest.fixture
def stored(owner: User, remembering: Remembering) -> dict[Labelled, UUID]:
    return store(owner)


def place(owner: User, q: str, message: UUID, mode: Mode) -> int:
    """The message's place among the hits, from 0; AT where it is not among them."""
    found = find(Owner(owner), q, mode=mode, limit=AT)
    assert found.meaning is (mode != "text")
    ids = [hit.message_id for hit in found.hits]
    return ids.index(message) if message in ids else AT


def quoted(phrase: str) -> str:
    return f'"{phrase}"'


def test_the_set_is_large_broad_and_asks_in_other_words(db: None) -> None:
    pairs = [(q, one.text) for one in messages() for q in one.asked]
    assert len(pairs) == len({q for q, _ in pairs}) >= 300
    assert len({one.topic for one in messages() if one.asked}) >= 10
    assert sum(not one.asked for one in messages()) >= 50, "messages to be mistaken for the right one"
    assert all(phrase in one.text for one in messages() for phrase in one.phrases)
    assert sum(len(one.phrases) for one in messages()) >= 50
    with connection.cursor() as cursor:
        cursor.execute(SHARED, [[text for _, text in pairs], [q for q, _ in pairs]])
        shared = cursor.fetchone()[0]
    print(f"{len(pairs)} pairs, {len(messages())} messages, {shared:.3f} of the words shared")
    assert shared <= FEW


def test_both_together_find_nine_of_ten_and_far_more_than_the_words_alone(
    owner: User, stored: dict[Labelled, UUID], remembering: Remembering
) -> None:
    remembering.vectors([q for one in stored for q in one.asked])  # all at once, which takes a fraction of one by one
    found: dict[Mode, dict[str, list[bool]]] = {mode: defaultdict(list) for mode in MODES}
    for one, message in stored.items():
        for q in one.asked:
            for mode in MODES:
                hit = place(owner, q, message, mode) < AT
                found[mode][one.topic].append(hit)
                if mode == "hybrid" and not hit:
                    print(f"missed: {q} → {one.text[:60]}")
    recall = {mode: fmean(hit for hits in topics.values() for hit in hits) for mode, topics in found.items()}
    topics = {topic: fmean(hits) for topic, hits in found["hybrid"].items()}
    print(f"recall@{AT}", {mode: round(share, 3) for mode, share in recall.items()})
    print("by topic", {topic: round(share, 2) for topic, share in topics.items()})
    assert recall["hybrid"] >= LEAST
    assert recall["hybrid"] - recall["text"] >= MARGIN
    assert recall["hybrid"] >= recall["semantic"], "the words must not cost anything"
    assert min(topics.values()) >= LEAST_OF_A_TOPIC, topics


def test_the_very_words_are_never_found_worse_than_by_words_alone(
    owner: User, stored: dict[Labelled, UUID], remembering: Remembering
) -> None:
    said = [(q, message) for one, message in stored.items() for phrase in one.phrases for q in (phrase, quoted(phrase))]
    remembering.vectors([q for q, _ in said])
    worse = {}
    for q, message in said:
        text, hybrid = (place(owner, q, message, mode) for mode in ("text", "hybrid"))
        assert text < AT, q
        if hybrid > text:
            worse[q] = (text, hybrid)
    assert worse == {}
