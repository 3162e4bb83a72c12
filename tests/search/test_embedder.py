"""Where vectors come from: an endpoint that may cost something, or the model in the process; and who pays."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from billing import audit
from billing.models import Budget, LedgerEntry, Reservation
from search import answering, choice, embedder, embedding, vectors
from search.models import DIMENSIONS, Passage
from search.query import Owner, find
from tests.search.endpoint import Endpoint, running
from tests.search.talk import conversation, indexed
from tests.stack import until
from threads.providers.base import ProviderError

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(settings: Any) -> Iterator[Endpoint]:
    with running() as server:
        settings.EMBEDDING_BASE_URL = server.url
        settings.EMBEDDING_API_KEY = "sk-embed"
        settings.EMBEDDING_MODEL = "toy"
        embedder._load.cache_clear()
        yield server
        embedder._load.cache_clear()


def embed_all() -> None:
    while embedding.embed_due(choice.configured()):
        pass


def test_an_endpoint_is_asked_in_batches_with_its_key(owner: User, endpoint: Endpoint) -> None:
    conversation(owner, *((f"Question {number}", f"Answer {number}") for number in range(20)))
    indexed()
    embed_all()
    assert not Passage.objects.filter(vector=None).exists()
    assert [len(body["input"]) for body in endpoint.asked] == [32, 8]
    assert endpoint.keys == {"Bearer sk-embed"}
    assert {body["model"] for body in endpoint.asked} == {"toy"}


def test_no_more_is_taken_at_once_than_asked_for_whatever_the_plan(owner: User, endpoint: Endpoint) -> None:
    conversation(owner, *((f"Question {number}", f"Answer {number}") for number in range(20)))
    indexed()
    with connection.cursor() as cursor:
        for way in ("hashjoin", "mergejoin", "hashagg", "material", "sort", "indexscan"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
    assert [embedding.embed_due(choice.configured(), 15) for _ in range(4)] == [15, 15, 10, 0]


def test_its_vectors_are_put_into_order_and_made_of_length_one(endpoint: Endpoint) -> None:
    made = embedder.load(choice.configured()).vectors(["ferry ferry island", "bus"])
    one, other = ([float(number) for number in text.strip("[]").split(",")] for text in made.texts)
    assert (round(math.hypot(*one), 3), round(math.hypot(*other), 3)) == (1, 1)
    assert sorted(one)[-2:] == pytest.approx([1 / math.sqrt(5), 2 / math.sqrt(5)], abs=1e-4)
    assert max(other) == 1


@pytest.mark.parametrize(("status", "retryable"), [(500, True), (429, True), (401, False), (400, False)])
def test_its_failures_are_of_one_kind_that_says_whether_to_try_again(endpoint: Endpoint, status: int, retryable: bool) -> None:
    endpoint.status = status
    with pytest.raises(ProviderError) as failure:
        embedder.load(choice.configured()).vectors(["ferry"])
    assert failure.value.retryable is retryable


def test_vectors_of_another_size_are_refused(endpoint: Endpoint) -> None:
    endpoint.dimensions = 100
    with pytest.raises(ProviderError, match="cannot be reached") as failure:
        embedder.load(choice.configured()).vectors(["ferry"])
    assert str(DIMENSIONS) in failure.value.detail


def test_a_local_model_and_an_endpoint_without_a_price_write_no_line(owner: User, endpoint: Endpoint) -> None:
    conversation(owner, ("Where is the ferry?", "At the pier."))
    indexed()
    embed_all()
    assert not LedgerEntry.objects.filter(kind="embedding").exists()
    assert not Reservation.objects.exists()


def test_an_endpoint_with_a_price_is_paid_by_whose_messages_they_are(owner: User, member: User, endpoint: Endpoint, settings: Any) -> None:
    settings.EMBEDDING_PRICE_USD = Decimal(20)
    thread = conversation(owner, ("Where is the ferry?", "At the pier."), end_user_id="alice")
    conversation(member, ("And the bus?", "Here."))
    indexed()
    embed_all()
    lines = LedgerEntry.objects.filter(kind="embedding")
    assert {(line.user_id, line.input_tokens, line.cost_micros) for line in lines} == {(owner.pk, 7, 140), (member.pk, 4, 80)}
    assert {(line.thread_id, line.end_user_id) for line in lines.filter(user_id=owner.pk)} == {(thread.pk, "alice")}
    assert all(budget.reserved_micros == 0 for budget in Budget.objects.all())
    assert audit.check().differences == []


def test_who_cannot_pay_is_found_by_words(owner: User, endpoint: Endpoint, settings: Any) -> None:
    settings.EMBEDDING_PRICE_USD = Decimal(20)
    Budget.objects.filter(user=owner).update(limit_micros=0)
    conversation(owner, ("Where is the ferry?", "At the pier."))
    indexed()
    embed_all()
    assert endpoint.asked == []
    assert Passage.objects.filter(vector=None, due_at__isnull=False).count() == 2
    assert [hit.match for hit in find(Owner(owner), "ferry").hits] == ["text"]


def test_a_call_that_fails_costs_nothing(owner: User, endpoint: Endpoint, settings: Any) -> None:
    settings.EMBEDDING_PRICE_USD = Decimal(20)
    endpoint.status = 500
    conversation(owner, ("Where is the ferry?", "At the pier."))
    indexed()
    embed_all()
    assert not LedgerEntry.objects.filter(kind="embedding").exists()
    assert all(budget.reserved_micros == 0 for budget in Budget.objects.all())


def test_a_model_of_another_server_than_the_configured_one_is_unavailable(endpoint: Endpoint) -> None:
    with pytest.raises(embedder.Unavailable, match="another server"):
        embedder.load("toy@elsewhere.example")


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(embedder.Unavailable, match="local-embeddings"):
        embedder.Local("all-MiniLM-L6-v2")


def test_weights_that_were_changed_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")
    monkeypatch.setattr(embedder, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(embedder.Unavailable, match="weights"):
        embedder.Local("all-MiniLM-L6-v2")


@pytest.mark.django_db(transaction=True)
def test_a_query_gets_its_vector_from_whoever_embeds_and_does_without_when_nobody_does(
    owner: User, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "PATIENCE", 30.0)
    conversation(owner, ("Where is the ferry?", "At the pier."))
    indexed()
    embed_all()
    assert not find(Owner(owner), "ferry pier").meaning
    with pytest.raises(LookupError):
        vectors.of_tools(choice.configured(), ["find a ferry"])
    serving = threading.Thread(target=answering.serve, args=([choice.configured()], 4.0))
    serving.start()
    try:
        until(lambda: vectors.somebody_embeds([choice.configured()]), 30, "the embedder shows itself")
        found = find(Owner(owner), "ferry where")
        assert found.meaning
        assert found.hits[0].match == "both"
        calls = len(endpoint.asked)
        assert find(Owner(owner), "ferry where", offset=1).meaning
        assert len(endpoint.asked) == calls, "the next page asks nobody"
        texts = ["find a ferry", "find a ferry", "book a table", *map(str, range(10))]
        made = vectors.of_tools(choice.configured(), texts)
        assert len(made) == len(texts)
        assert made[0] == made[1] != made[2]
        assert math.isclose(math.hypot(*made[0]), 1.0, abs_tol=1e-3)
    finally:
        serving.join()
