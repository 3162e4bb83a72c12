"""What is asked in other words is found. Measured on the labelled set with the real model, by words, by meaning and by both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from statistics import fmean
from uuid import UUID

import pytest
from django.db import connection

from accounts.models import User
from search import choice, embedder, vectors
from search.query import MOST_HITS, Mode, Owner, find
from tests.search.labelled import Labelled, messages, store

MODES: tuple[Mode, ...] = ("text", "semantic", "hybrid")
AT = 10
LEAST, MARGIN = 0.90, 0.15  # of hybrid, and of hybrid over text
LEAST_OF_A_TOPIC = 0.75
FEW = 0.2  # of a question's words are in the message, on average

SHARED = """
SELECT count(*) FILTER (WHERE lexeme = ANY (tsvector_to_array(to_tsvector('english', %s))))::float / count(*)
FROM unnest(tsvector_to_array(to_tsvector('english', %s))) AS lexeme
"""
Place = Callable[[str, UUID, Mode], int]


@cache
def vectors_of_queries() -> dict[str, str]:
    """Of all queries, as the `embed` process makes them."""
    asked = [q for one in messages() for q in (*one.asked, *one.phrases, *map(quoted, one.phrases))]
    return dict(zip(asked, embedder.load(choice.configured()).vectors(asked).texts, strict=True))


def quoted(phrase: str) -> str:
    return f'"{phrase}"'


pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # each embeds the whole set with the real model


@pytest.fixture
def place(owner: User, monkeypatch: pytest.MonkeyPatch) -> Place:
    """`place(q, message, mode)`: its place among the hits, from 0; MOST_HITS where it is not among them."""
    known = vectors_of_queries()
    monkeypatch.setattr(vectors, "of_query", lambda _user, _model, text: known[text])

    def placed(q: str, message: UUID, mode: Mode) -> int:
        found = find(Owner(owner), q, mode=mode, limit=MOST_HITS)
        assert found.meaning is (mode != "text")
        ids = [hit.message_id for hit in found.hits]
        return ids.index(message) if message in ids else MOST_HITS

    return placed


@pytest.fixture
def stored(owner: User) -> dict[Labelled, UUID]:
    return store(owner)


def test_the_set_is_large_broad_and_asks_in_other_words(db: None) -> None:
    pairs = [(q, one.text) for one in messages() for q in one.asked]
    assert len(pairs) == len({q for q, _ in pairs}) >= 300
    assert len({one.topic for one in messages() if one.asked}) >= 10
    assert sum(not one.asked for one in messages()) >= 50, "messages to be mistaken for the right one"
    assert all(phrase in one.text for one in messages() for phrase in one.phrases)
    assert sum(len(one.phrases) for one in messages()) >= 50
    shares = []
    with connection.cursor() as cursor:
        for q, text in pairs:
            cursor.execute(SHARED, [text, q])
            shares.append(cursor.fetchone()[0])
    print(f"{len(pairs)} pairs, {len(messages())} messages, {fmean(shares):.3f} of the words shared")
    assert fmean(shares) <= FEW


def test_both_together_find_nine_of_ten_and_far_more_than_the_words_alone(stored: dict[Labelled, UUID], place: Place) -> None:
    found: dict[Mode, dict[str, list[bool]]] = {mode: defaultdict(list) for mode in MODES}
    for one, message in stored.items():
        for q in one.asked:
            for mode in MODES:
                at = place(q, message, mode)
                found[mode][one.topic].append(at < AT)
                if mode == "hybrid" and at >= AT:
                    print(f"missed at {at}: {q} → {one.text[:60]}")
    recall = {mode: fmean(hit for hits in topics.values() for hit in hits) for mode, topics in found.items()}
    topics = {topic: fmean(hits) for topic, hits in found["hybrid"].items()}
    print(f"recall@{AT}", {mode: round(share, 3) for mode, share in recall.items()})
    print("by topic", {topic: round(share, 2) for topic, share in topics.items()})
    assert recall["hybrid"] >= LEAST
    assert recall["hybrid"] - recall["text"] >= MARGIN
    assert recall["hybrid"] >= recall["semantic"], "the words must not cost anything"
    assert min(topics.values()) >= LEAST_OF_A_TOPIC, topics


@pytest.mark.parametrize("said", [str, quoted])
def test_the_very_words_are_never_found_worse_than_by_words_alone(
    said: Callable[[str], str], stored: dict[Labelled, UUID], place: Place
) -> None:
    worse = {}
    for one, message in stored.items():
        for phrase in one.phrases:
            text, hybrid = (place(said(phrase), message, mode) for mode in ("text", "hybrid"))
            assert text < AT, phrase
            if hybrid > text:
                worse[phrase] = (text, hybrid)
    assert worse == {}
