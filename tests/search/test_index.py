"""From the end of a turn into the index, and what becomes of rows that change or go."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from uuid import uuid4

import pytest
from django.db import connection

from accounts.actions import close_account
from accounts.models import User
from search import checking, embedder, embedding, generations, outbox
from search.embedder import Vectors
from search.models import DIMENSIONS, Generation, Passage
from search.query import Owner, find
from tests.search.talk import conversation, indexed, say
from tests.search.toy import toy_vector
from threads import actions, cleaning
from threads.blocks import Block
from threads.forking import fork
from threads.models import Message, Outbox, Thread
from threads.providers.base import ProviderError

pytestmark = pytest.mark.django_db


class Toy:
    """An embedder that can fail: on texts with a word it does not like, or `broken` altogether."""

    def __init__(self) -> None:
        self.calls = count()
        self.texts: list[str] = []
        self.broken = False

    def vectors(self, texts: list[str], urgent: bool = False) -> Vectors:
        if self.broken:
            raise ProviderError("connection", "Away.", True)
        if any("poison" in text for text in texts):
            raise ProviderError("invalid", "No.", False)
        next(self.calls)
        self.texts += texts
        return Vectors([toy_vector(text) for text in texts], len(texts))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy()
    monkeypatch.setattr(embedder, "load", lambda _model: made)
    return made


def model() -> str:
    return Generation.objects.get(state="serving").model


def embed_all() -> int:
    done = 0
    while some := embedding.embed_due(model()):
        done += some
    return done


def make_due() -> None:
    """As if the pause were over."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE search_passage SET due_at = now() - interval '1 second' WHERE due_at IS NOT NULL")


def final_report() -> checking.Report:
    return list(checking.check())[-1]


def test_question_and_answer_are_indexed_once_however_often_their_turn_comes(owner: User) -> None:
    thread = conversation(owner, ("Where is the ferry?", "At the pier."))
    turn = thread.turns.get()
    Outbox.objects.create(turn_id=turn.pk, kind=Outbox.Kind.INDEX)
    indexed()
    Outbox.objects.create(turn_id=turn.pk, kind=Outbox.Kind.INDEX)
    indexed()
    assert not Outbox.objects.exists()
    found = Passage.objects.order_by("role")
    assert [(one.role, one.text, one.number, one.passages) for one in found] == [
        ("assistant", "At the pier.", 0, 1),
        ("user", "Where is the ferry?", 0, 1),
    ]
    assert {(one.user_id, one.thread_id, one.turn_id, one.model) for one in found} == {(owner.pk, thread.pk, turn.pk, "demo")}


def test_between_question_and_final_answer_nothing_is_indexed_and_only_text(owner: User) -> None:
    thread = conversation(owner)
    turn = say(thread, "What is 12*7?", "I will calculate.")
    Message.objects.filter(turn=turn, role="assistant").update(
        content=[
            {"type": "thinking", "thinking": "secret"},
            {"type": "text", "text": "I will calculate."},
            {"type": "tool_use", "id": "t1"},
        ]
    )
    result: list[Block] = [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "84 of a tool"}]}]
    last: list[Block] = [
        {"type": "thinking", "thinking": "done"},
        {"type": "text", "text": "It is 84."},
        {"type": "text", "text": "Really."},
    ]
    Message.objects.create(thread=thread, turn=turn, seq=3, role="user", content=result)
    Message.objects.create(thread=thread, turn=turn, seq=4, role="assistant", content=last)
    indexed()
    assert sorted(Passage.objects.values_list("text", flat=True)) == ["It is 84.\n\nReally.", "What is 12*7?"]
    assert final_report().differ == 0


def test_an_answer_that_is_being_written_and_one_without_words_are_left_out(owner: User) -> None:
    thread = conversation(owner, ("A picture, please", ""), ("Go on", "Half of it"))
    Message.objects.filter(seq=4).update(status="streaming")
    indexed()
    assert set(Passage.objects.values_list("text", flat=True)) == {"A picture, please", "Go on"}
    assert Thread.objects.get().pk == thread.pk


def test_a_turn_that_is_gone_does_not_stop_the_others(owner: User) -> None:
    thread = conversation(owner, ("One", "1"), ("Two", "2"))
    thread.turns.get(number=1).delete()
    indexed()
    assert set(Passage.objects.values_list("text", flat=True)) == {"Two", "2"}


def test_a_stop_before_the_first_word_and_a_fork_are_indexed_too(owner: User) -> None:
    thread = conversation(owner, ("Where is the ferry?", "At the pier."))
    waiting = actions.admit_turn(owner, thread.pk, content="And the bus?", model="demo", request_id="r1")
    actions.stop(owner, thread.pk)
    indexed()
    assert Passage.objects.filter(turn_id=waiting.turn_id).count() == 1
    copy = fork(owner, thread.turns.get(number=1).pk, uuid4())
    indexed()
    assert Passage.objects.filter(thread_id=copy).count() == 2


def test_deleting_for_good_takes_the_passages_along(owner: User, member: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "PURGE_AFTER", timedelta(seconds=-1))
    gone, kept = conversation(owner, ("One", "1")), conversation(owner, ("Two", "2"))
    conversation(member, ("Three", "3"))
    indexed()
    actions.delete_thread(owner, gone.pk)
    cleaning.purge_deleted()
    assert set(Passage.objects.filter(user=owner).values_list("thread_id", flat=True)) == {kept.pk}
    close_account(owner)
    assert set(Passage.objects.values_list("user_id", flat=True)) == {member.pk}


def test_vectors_follow_and_what_has_one_is_left_alone(owner: User, toy: Toy) -> None:
    conversation(owner, *((f"Question {number}", f"Answer {number}") for number in range(40)))
    indexed()
    assert embed_all() == 80
    assert next(toy.calls) == 3, "in batches"
    assert embed_all() == 0
    assert not Passage.objects.filter(vector=None).exists()
    assert not Passage.objects.exclude(due_at=None).exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT vector_dims(vector), round(l2_norm(vector)::numeric, 2) FROM search_passage")
        assert cursor.fetchall() == [(DIMENSIONS, 1)]


def test_the_newest_are_embedded_first(owner: User, toy: Toy) -> None:
    conversation(owner, ("Old question", "Old answer"))
    indexed()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE search_passage SET due_at = due_at - interval '1 hour'")
    conversation(owner, ("New question", "New answer"))
    indexed()
    embedding.embed_due(model(), 2)
    assert {text.split()[0] for text in toy.texts} == {"New"}


def test_who_dies_with_passages_in_hand_leaves_them_to_the_next(owner: User, monkeypatch: pytest.MonkeyPatch, toy: Toy) -> None:
    conversation(owner, ("Question", "Answer"))
    indexed()

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(embedding, "paid", die)
        with pytest.raises(SystemExit):
            embedding.embed_due(model())
    assert embed_all() == 0, "they are leased"
    make_due()
    assert embed_all() == 2


def test_an_embedder_that_is_away_is_tried_again_and_words_answer_meanwhile(owner: User, toy: Toy) -> None:
    conversation(owner, ("Where is the ferry?", "At the pier."))
    indexed()
    toy.broken = True
    embedding.embed_due(model())
    assert [hit.match for hit in find(Owner(owner), "ferry").hits] == ["text"]
    toy.broken = False
    assert embed_all() == 0
    make_due()
    assert embed_all() == 2


def test_one_passage_that_cannot_be_embedded_holds_up_no_other(owner: User, toy: Toy) -> None:
    conversation(owner, ("poison", "fine"), ("good", "well"))
    indexed()
    embed_all()
    assert set(Passage.objects.filter(vector=None).values_list("text", flat=True)) == {"poison"}


def test_the_proof_counts_everything_and_sees_what_is_missing_torn_or_astray(owner: User, toy: Toy) -> None:
    long = "\n\n".join("A paragraph about nothing in particular. " * 12 for _ in range(6))
    conversation(owner, ("One", long), ("Two", "2"))
    assert (final_report().differ, final_report().waiting) == (0, 2), "they wait for their turn"
    indexed()
    report = final_report()
    assert (report.messages, report.differ, report.waiting) == (4, 0, 0)
    assert report.passages == report.without_vector == Passage.objects.count() > 4
    embed_all()
    assert final_report().without_vector == 0
    Passage.objects.filter(text="Two").delete()
    assert final_report().differ == 1
    Passage.objects.filter(number=1).delete()
    assert final_report().differ == 2
    Passage.objects.filter(text="2").update(on_path=False)
    report = final_report()
    assert report.differ == len(report.examples) == 3


def test_another_process_that_indexes_at_the_same_time_takes_other_turns(owner: User) -> None:
    conversation(owner, *((f"Question {number}", "Answer") for number in range(6)))
    generations.ensure()
    assert outbox.take(4) == 4
    assert outbox.take(4) == 2
    assert outbox.take(4) == 0
