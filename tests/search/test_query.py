"""Finding by words, by meaning, by both: whose messages, which of them, in which order, and what bad queries get."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from accounts import keys
from accounts.models import User
from search import vectors
from search.models import DIMENSIONS, Passage
from search.query import MOST_CHARS, Found, Owner, find
from tests.search.talk import conversation, indexed, say
from tests.search.toy import toy_vector
from threads import actions, branches, removal
from threads.refusals import Refused

FERRY = ("When does the ferry to the island leave?", "At nine in the morning, from the second pier.")
PASTA = ("Which cheese belongs on carbonara?", "Pecorino, never cream.")


def texts(found: Found) -> list[str]:
    return [hit.snippet for hit in found.hits]


@pytest.fixture
def meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of texts by the words they share: close enough to meaning to see what the query does with them."""
    monkeypatch.setattr(vectors, "of_query", lambda _user, _model, text: toy_vector(text))


def embed() -> None:
    for passage in Passage.objects.all():
        Passage.objects.filter(pk=passage.pk).update(due_at=None)
        store(passage.pk, toy_vector(passage.text))


def store(pk: int, vector: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE search_passage SET vector = %s::halfvec WHERE id = %s", [vector, pk])


def test_words_find_messages_in_every_form_and_say_where(owner: User) -> None:
    thread = conversation(owner, FERRY, PASTA, title="Holiday")
    indexed()
    hit = find(Owner(owner), "ferries to islands").hits[0]
    assert (hit.thread_id, hit.title, hit.seq, hit.role, hit.match) == (thread.pk, "Holiday", 1, "user", "text")
    assert hit.snippet == FERRY[0]
    assert [hit.snippet[start:stop] for start, stop in hit.marks] == ["ferry", "island"]
    assert 0 <= hit.score <= 1


def test_marks_and_signs_between_letters_make_no_difference(owner: User) -> None:
    conversation(owner, ("Où est le café ? C'est dans settings.py.", "Im Müllerstraße-Haus, on 2026-11-20."))
    indexed()
    for query in ("cafe", "café", "settings", "settings.py", "mullerstraße", "2026-11-20", "2026"):
        assert len(find(Owner(owner), query).hits) == 1, query


def test_the_very_words_come_first(owner: User) -> None:
    conversation(owner, ("the pier second from nine", "pier pier second nine nine"), FERRY)
    indexed()
    assert texts(find(Owner(owner), "from the second pier"))[0] == FERRY[1]


def test_quotes_and_a_minus_are_meant_to_the_letter(owner: User, meaning: None) -> None:
    conversation(owner, ("A red apple pie", "A pie of red apples with cream"), ("Red wine", "An apple a day"))
    indexed()
    embed()
    assert texts(find(Owner(owner), '"red apple pie"')) == ["A red apple pie"]
    assert set(texts(find(Owner(owner), "apple -cream"))) == {"A red apple pie", "An apple a day"}
    assert texts(find(Owner(owner), '"no such words"')) == []


def test_options_of_commands_are_no_operators(owner: User) -> None:
    conversation(owner, ("What does rm -rf do?", "It deletes everything below."), ("And ls -la?", "It lists everything."))
    indexed()
    assert texts(find(Owner(owner), "rm -rf"))[0] == "What does rm -rf do?"
    assert texts(find(Owner(owner), "ls -la"))[0] == "And ls -la?"
    assert len(texts(find(Owner(owner), "-deletes"))) == 1, "without anything beside it"


def test_meaning_finds_what_words_do_not_and_both_say_so(owner: User, meaning: None) -> None:
    conversation(owner, FERRY, PASTA)
    indexed()
    embed()
    found = find(Owner(owner), "ferry island leave")
    assert found.meaning
    assert found.hits[0].match == "both"
    assert found.hits[0].score == pytest.approx(max(hit.score for hit in found.hits), abs=1e-3)
    assert {hit.match for hit in found.hits[1:]} == {"meaning"}
    semantic = find(Owner(owner), "ferry island leave", mode="semantic")
    assert [hit.score for hit in semantic.hits] == sorted((hit.score for hit in semantic.hits), reverse=True)
    assert len(semantic.hits) == 4, "always the closest, without a threshold"


def test_without_an_embedder_words_answer_and_it_is_said(owner: User) -> None:
    conversation(owner, FERRY)
    indexed()
    for mode in ("hybrid", "semantic"):
        found = find(Owner(owner), "ferry", mode=mode)
        assert not found.meaning
        assert texts(found) == [FERRY[0]]


def test_what_has_no_vector_yet_is_found_by_its_words(owner: User, meaning: None) -> None:
    conversation(owner, FERRY)
    indexed()
    embed()
    conversation(owner, ("The ferry was late", "What a pity"))
    indexed()
    found = find(Owner(owner), "ferry")
    assert {hit.match for hit in found.hits if hit.snippet == "The ferry was late"} == {"text"}


def test_a_message_of_many_passages_is_one_hit_with_the_best_of_them(owner: User) -> None:
    long = "\n\n".join(f"Paragraph {number} is about gardens and their flowers. " * 8 for number in range(20))
    conversation(owner, ("Tell me everything", f"{long}\n\nOnly here a zeppelin flies. {long}"))
    indexed()
    assert Passage.objects.filter(role="assistant").count() > 5
    found = find(Owner(owner), "gardens zeppelin")
    assert len(found.hits) == 1
    assert "zeppelin" in found.hits[0].snippet


def test_pages_follow_each_other_without_gaps_or_repetitions(owner: User, meaning: None) -> None:
    conversation(owner, *((f"Question {number} about trains", f"Answer {number} about trains") for number in range(12)))
    indexed()
    embed()
    pages = [find(Owner(owner), "trains", limit=5, offset=offset) for offset in range(0, 30, 5)]
    assert [page.more for page in pages] == [True, True, True, True, False, False]
    found = [hit.message_id for page in pages for hit in page.hits]
    assert len(found) == len(set(found)) == 24


def test_filters_narrow_what_is_found(owner: User) -> None:
    old = timezone.now() - timedelta(days=30)
    ours = conversation(owner, end_user_id="alice", title="Ours")
    say(ours, "The ferry was slow", "Ferries are", at=old, model="slow")
    say(ours, "A fast ferry", "Yes", model="fast")
    conversation(owner, ("Another ferry", "No"), end_user_id="bob")
    indexed()

    def count(**filters: Any) -> int:
        return len(find(Owner(owner), "ferry", **filters).hits)

    assert count() == 4
    assert count(thread_id=ours.pk) == 3
    assert (count(end_user_id="alice"), count(end_user_id="bob"), count(end_user_id="carol")) == (3, 1, 0)
    assert (count(role="user"), count(role="assistant")) == (3, 1)
    assert (count(since=old + timedelta(days=1)), count(until=old + timedelta(days=1))) == (2, 2)
    assert (count(model="slow"), count(model="fast")) == (2, 1)


def test_others_rows_are_never_found_and_their_threads_are_not_there(owner: User, stranger: User, meaning: None) -> None:
    theirs = conversation(stranger, FERRY, PASTA)
    indexed()
    embed()
    for mode in ("hybrid", "semantic", "text"):
        assert find(Owner(owner), FERRY[0], mode=mode).hits == []
    with pytest.raises(Refused) as refusal:
        find(Owner(owner), "ferry", thread_id=theirs.pk)
    assert refusal.value.status == 404


def test_a_standard_key_finds_what_it_made_and_an_admin_key_everything(owner: User) -> None:
    standard, admin = keys.mint(owner, "App")[0], keys.mint(owner, "Operator", scope="admin")[0]
    mine = conversation(owner, FERRY, key=standard)
    conversation(owner, FERRY)
    indexed()
    assert {hit.thread_id for hit in find(Owner(owner, standard), "ferry").hits} == {mine.pk}
    assert len(find(Owner(owner, admin), "ferry").hits) == len(find(Owner(owner), "ferry").hits) == 2


def test_deleted_threads_turns_and_other_versions_leave_at_once_and_come_back(owner: User, meaning: None) -> None:
    thread = conversation(owner, FERRY, PASTA)
    first, second = thread.turns.order_by("number")
    second.parent = first
    second.save()
    indexed()
    embed()

    def found() -> list[int]:
        return sorted(hit.seq for hit in find(Owner(owner), "ferry pecorino").hits)

    assert found() == [1, 2, 3, 4]
    actions.delete_thread(owner, thread.pk)
    assert found() == []
    actions.undo_delete(owner, thread.pk)
    assert found() == [1, 2, 3, 4]
    removal.delete_turn(owner, second.pk)
    assert found() == [1, 2]
    removal.undo_delete_turn(owner, second.pk)
    assert found() == [1, 2, 3, 4]
    other = say(thread, "When does the bus leave?", "At ten.", on_path=False)
    indexed()
    assert found() == [1, 2, 3, 4], "what is not read now is not found"
    branches.switch(owner, thread.pk, other.pk)
    embed()
    assert found() == [5, 6]
    branches.switch(owner, thread.pk, second.pk)
    assert found() == [1, 2, 3, 4]


def test_a_title_given_later_is_the_one_that_is_shown(owner: User) -> None:
    thread = conversation(owner, FERRY, title="Before")
    indexed()
    actions.rename(owner, thread.pk, "After")
    assert find(Owner(owner), "ferry").hits[0].title == "After"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {}),
        (" \n\t ", {}),
        ("\0\0", {}),
        ("x" * (MOST_CHARS + 1), {}),
        ("x" * 100_000, {}),
        ("ferry", {"limit": 0}),
        ("ferry", {"limit": 51}),
        ("ferry", {"limit": -1}),
        ("ferry", {"offset": -1}),
        ("ferry", {"offset": 1001}),
        ("ferry", {"mode": "magic"}),
        ("ferry", {"role": "system"}),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(owner: User, query: str, options: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refusal:
        find(Owner(owner), query, **options)
    assert refusal.value.status == 400
    assert refusal.value.message.endswith(".")


@pytest.mark.parametrize(
    "query",
    [
        *("a & b | !c", "<->", "(((", "'", '"', '"""', "\\", "ferry:*", "ferry\0island", "%s %(user)s", "a" * MOST_CHARS, "((ferry) or"),
        *("-", "--", "or or or", "-ferry", '-"the ferry"', "ferry \ud800", "\x02\x03", "🙂", "the and of", "' OR 1=1 --"),
        *("ferry <2> island", "x " * 999),
    ],
)
@pytest.mark.parametrize("mode", ["hybrid", "text", "semantic"])
def test_signs_of_the_query_language_are_never_an_error(owner: User, meaning: None, query: str, mode: Any) -> None:
    conversation(owner, FERRY)
    indexed()
    embed()
    find(Owner(owner), query, mode=mode)


def test_a_thread_that_does_not_exist_is_missing(owner: User) -> None:
    with pytest.raises(Refused) as refusal:
        find(Owner(owner), "ferry", thread_id=uuid4())
    assert refusal.value.status == 404


def test_before_anything_was_ever_indexed_nothing_is_found(owner: User) -> None:
    assert find(Owner(owner), "ferry") == Found([], False, False)


def test_a_vector_has_as_many_numbers_as_the_index_holds() -> None:
    assert toy_vector("x").count(",") == DIMENSIONS - 1
