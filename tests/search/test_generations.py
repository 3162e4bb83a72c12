"""Another model: the old vectors answer until the new ones are all there."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from search import embedder, embedding, generations, vectors
from search.embedder import Vectors
from search.models import Generation, Passage
from search.query import Owner, find
from tests.search.talk import conversation, indexed
from tests.search.toy import toy_vector
from threads.models import Outbox

pytestmark = pytest.mark.django_db

FIRST, SECOND = "all-MiniLM-L6-v2", "another-model"


class Toys:
    """Two models whose vectors have nothing to do with each other, and who asked which."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def load(self, model: str) -> Any:
        toys = self

        class One:
            def vectors(self, texts: list[str], urgent: bool = False) -> Vectors:
                toys.asked.append(model)
                return Vectors([toys.vector(model, text) for text in texts], 0)

        return One()

    def vector(self, model: str, text: str) -> str:
        return toy_vector(" ".join(f"{model}-{word}".replace("-", "") for word in text.split()))


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Toys:
    made = Toys()
    monkeypatch.setattr(embedder, "load", made.load)
    monkeypatch.setattr(vectors, "of_query", lambda _user, model, text: made.vector(model, text))
    return made


def states() -> dict[str, str]:
    return {one.model: one.state for one in Generation.objects.order_by("id")}


def embed_all() -> None:
    for model in generations.models():
        while embedding.embed_due(model):
            pass


def best(owner: User) -> tuple[str, str]:
    hit = find(Owner(owner), "ferry leaves").hits[0]
    return hit.snippet, hit.match


def test_what_was_said_before_there_was_an_index_comes_into_the_first_one(owner: User) -> None:
    conversation(owner, ("The ferry leaves", "At nine"))
    Outbox.objects.all().delete()
    generations.ensure()
    assert find(Owner(owner), "ferry").hits == []
    while generations.fill(1):
        pass
    assert [hit.snippet for hit in find(Owner(owner), "ferry").hits] == ["The ferry leaves"]
    assert Generation.objects.get().filled_at is not None


def test_a_changed_model_is_embedded_beside_while_the_old_one_answers(owner: User, toys: Toys, settings: Any) -> None:
    conversation(owner, ("The ferry leaves", "At nine"), ("And the bus", "At ten"))
    indexed()
    while generations.fill():
        pass
    embed_all()
    assert best(owner) == ("The ferry leaves", "both")

    settings.EMBEDDING_MODEL = SECOND
    generations.ensure()
    assert states() == {FIRST: "serving", SECOND: "filling"}
    conversation(owner, ("A new ferry", "Indeed"))
    indexed()
    assert Passage.objects.filter(text="A new ferry").count() == 2, "in both"
    while generations.fill(1):
        assert best(owner) == ("The ferry leaves", "both")
    assert not generations.promote(), "vectors are missing"
    embed_all()
    assert best(owner) == ("The ferry leaves", "both")
    assert generations.promote()
    assert states() == {FIRST: "retired", SECOND: "serving"}
    assert best(owner) == ("The ferry leaves", "both")
    assert [hit.message_id for hit in find(Owner(owner), "ferry").hits] == [
        hit.message_id for hit in find(Owner(owner), "ferry", mode="text").hits
    ][:1] + [hit.message_id for hit in find(Owner(owner), "ferry").hits][1:]
    assert set(toys.asked) == {FIRST, SECOND}


def test_the_replaced_generation_goes_after_a_while(owner: User, toys: Toys, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation(owner, ("The ferry leaves", "At nine"))
    indexed()
    settings.EMBEDDING_MODEL = SECOND
    generations.ensure()
    while generations.fill():
        pass
    embed_all()
    generations.promote()
    assert generations.forget() == 0, "searches may be reading it"
    monkeypatch.setattr(generations, "KEPT", -generations.KEPT)
    while generations.forget():
        pass
    assert states() == {SECOND: "serving"}
    assert Passage.objects.count() == 2


def test_going_back_before_the_end_drops_what_was_begun(owner: User, toys: Toys, settings: Any) -> None:
    conversation(owner, ("The ferry leaves", "At nine"))
    indexed()
    settings.EMBEDDING_MODEL = SECOND
    generations.ensure()
    settings.EMBEDDING_MODEL = FIRST
    generations.ensure()
    assert states() == {FIRST: "serving", SECOND: "retired"}
    settings.EMBEDDING_MODEL = "a-third"
    generations.ensure()
    assert states()["a-third"] == "filling"


def test_without_any_vectors_words_are_enough_to_take_over(owner: User) -> None:
    conversation(owner, ("The ferry leaves", "At nine"))
    indexed()
    generations.rebuild()
    while generations.fill():
        pass
    assert generations.promote()


def reindex(*arguments: str) -> str:
    out = io.StringIO()
    call_command("reindex", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_reindex_builds_anew_what_was_lost_and_check_proves_it(owner: User) -> None:
    conversation(owner, *((f"Question {number} about ferries", f"Answer {number}") for number in range(20)))
    indexed()
    assert "0 messages differ" in reindex("--check")
    Passage.objects.filter(text__startswith="Question 1").delete()
    with pytest.raises(CommandError, match="Not complete"):
        reindex("--check")
    assert "The index is complete and answers." in reindex()
    assert "40 messages in 40 passages" in reindex("--check")
    assert len(find(Owner(owner), "ferries", limit=50).hits) == 20


def test_an_interrupted_rebuild_goes_on_where_it_was(owner: User) -> None:
    conversation(owner, *((f"Question {number}", f"Answer {number}") for number in range(20)))
    indexed()
    while generations.fill():  # the first one, which would else be filled before the next
        pass
    begun = generations.rebuild()
    generations.fill(10)
    assert "Going on behind 10 messages." in reindex()
    assert Generation.objects.get(state="serving").pk == begun.pk
    assert "40 messages in 40 passages" in reindex("--check")
