"""Owners of every size find the same: by looking at each of their passages, with an index of words, with one of neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args
from uuid import UUID

import pytest

from accounts.models import User
from search import choice, embedder, embedding, generations, statement, vectors
from search.embedder import Vectors
from search.models import LargeOwner, Passage
from search.query import Mode, Owner, find
from tests.search.talk import conversation, indexed
from tests.search.toy import toy_vector

pytestmark = pytest.mark.django_db

ASKED = ("question 7 trains", '"question 7"', "trains -answer", "zeppelin 7 o'clock", r"a\\b ships")


class Toy:
    def vectors(self, texts: Sequence[str], urgent: bool = False) -> Vectors:
        return Vectors([toy_vector(text) for text in texts], 0)


def embed() -> None:
    while embedding.embed_due(choice.configured()):
        pass


@pytest.fixture
def sized(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    def above(large: int, huge: int) -> None:
        monkeypatch.setattr(generations, "LARGE", large)
        monkeypatch.setattr(generations, "HUGE", huge)
        while generations.find_large():
            pass

    return above


def marks(user: User) -> tuple[set[tuple[bool, bool]], list[tuple[bool, bool, bool]]]:
    """What stands at the passages, and at who is large."""
    owners = LargeOwner.objects.filter(user=user).values_list("ready", "huge", "huge_ready")
    return set(Passage.objects.filter(user=user).values_list("large", "huge")), list(owners)


def test_a_large_owner_is_searched_by_index_and_finds_the_same(
    owner: User, member: User, sized: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder, "load", lambda _name: Toy())
    monkeypatch.setattr(vectors, "of_query", lambda _user, _model, text: toy_vector(text))
    for person in (owner, member):
        conversation(person, *((f"Question {number} about trains", f"Answer {number} about ships") for number in range(30)))
    indexed()
    embed()

    def found() -> list[list[UUID]]:
        return [[hit.message_id for hit in find(Owner(owner), q, mode=mode, limit=5).hits] for q in ASKED for mode in get_args(Mode)]

    before = found()
    sized(100, 100)
    assert marks(owner) == ({(False, False)}, [])
    sized(50, 100)
    assert marks(owner) == ({(True, False)}, [(True, False, False)])
    assert found() == before
    sized(50, 55)
    assert marks(owner) == ({(True, True)}, [(True, True, True)])
    assert found() == before
    conversation(owner, ("A zeppelin over trains", "Indeed"))
    indexed()
    embed()
    assert marks(owner)[0] == {(True, True)}
    assert find(Owner(owner), "zeppelin").hits[0].snippet == "A zeppelin over trains"


def test_of_a_large_owner_a_rare_word_is_found_among_common_ones(
    owner: User, sized: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation(owner, ("The zeppelin flew over trains", "Indeed"), *((f"Trains and ships {number}", "Yes") for number in range(40)))
    indexed()
    sized(50, 1000)
    monkeypatch.setattr(statement, "EACH", 5)
    statement.build.cache_clear()
    try:
        hits = find(Owner(owner), "were there ships and trains beside the zeppelin", limit=50).hits
        assert "The zeppelin flew over trains" in [hit.snippet for hit in hits]
        assert len(hits) < 20, "and not every row with one of the others"
    finally:
        statement.build.cache_clear()
