"""What may change a conversation, and whom it refuses. Every door calls these."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from chatai.lib import hints
from chatai.lib.ids import uuid7
from threads import actions, load
from threads.actions import Refused, admit_turn
from threads.models import CatalogModel, Message, Thread, Turn
from threads.providers import catalog
from threads.replies import claims

pytestmark = pytest.mark.django_db

Announced = list[tuple[str, str, set[str]]]


@pytest.fixture(autouse=True)
def fresh_copies() -> Iterator[None]:
    """What this process keeps for a few seconds is of the test before."""
    load._looked_at = 0.0
    catalog.forget()
    yield
    load._looked_at = 0.0
    catalog.forget()


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> Announced:
    heard: Announced = []
    monkeypatch.setattr(hints, "announce", lambda group, kind, *ids: heard.append((group, kind, {str(one) for one in ids})))
    return heard


@pytest.fixture(autouse=True)
def _quiet(announced: Announced) -> None:
    """No test here needs Redis."""


@pytest.fixture
def thread(owner: User) -> Thread:
    return actions.create_thread(owner)


def ask(user: User, thread: Thread | UUID, text: Any = "Hello", **rest: Any) -> actions.Admission:
    thread_id = thread if isinstance(thread, UUID) else thread.pk
    return admit_turn(user, thread_id, content=text, **{"model": "demo", "request_id": str(uuid4()), **rest})


def refusal(call: Callable[..., Any], *args: Any, **rest: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        call(*args, **rest)
    assert caught.value.message.endswith("."), "a sentence for the person"
    return caught.value


def begin(turn: Turn | UUID) -> Turn:
    """As the generating process starts it."""
    turn = Turn.objects.get(pk=turn if isinstance(turn, UUID) else turn.pk)
    with connection.cursor() as cursor:
        cursor.execute(claims.CLAIM, {"runner": "test", "lease": "15 seconds", "most": 10, "ring": 0})
    turn.refresh_from_db()
    assert turn.status == "running"
    return turn


# --- sending --------------------------------------------------------------------------------------------------------------


def test_a_send_stores_the_question_and_queues_its_turn(owner: User, thread: Thread, announced: Announced) -> None:
    admission = ask(owner, thread, "What is 2 + 2?")
    turn = Turn.objects.get(pk=admission.turn_id)
    assert (turn.status, turn.number, turn.model, turn.key) == ("queued", 1, "demo", owner.api_keys.get())
    assert {"input", "output", "cache_read", "cache_write"} <= turn.price.keys()
    question, answer = Message.objects.filter(turn=turn).order_by("-role")
    assert (question.role, question.content, question.seq) == ("user", [{"type": "text", "text": "What is 2 + 2?"}], None)
    assert (answer.role, answer.content, answer.status) == ("assistant", [], "streaming")
    thread.refresh_from_db()
    assert (thread.title, thread.model, thread.last_seq) == ("What is 2 + 2?", "demo", 0)
    assert announced == [("replies", "work", set())]  # pages hear of it when it runs


def test_a_send_to_a_busy_thread_is_announced_to_its_pages(owner: User, thread: Thread, announced: Announced) -> None:
    ask(owner, thread)
    announced.clear()
    ask(owner, thread)
    assert ("live", "threads", {str(thread.pk)}) in announced


def test_the_same_request_again_is_the_same_turn(owner: User, thread: Thread) -> None:
    first = ask(owner, thread, request_id="r1")
    again = ask(owner, thread, request_id="r1")
    assert (again.turn_id, again.replayed, first.replayed) == (first.turn_id, True, False)
    assert (Turn.objects.count(), Message.objects.count()) == (1, 2)


def test_a_replay_leaves_the_thread_as_it_is(owner: User, thread: Thread) -> None:
    ask(owner, thread, request_id="r1")
    ask(owner, thread, request_id="r2")
    actions.set_archived(owner, thread.pk, True)
    before = Thread.objects.values().get(pk=thread.pk)
    ask(owner, thread, request_id="r1")
    assert Thread.objects.values().get(pk=thread.pk) == before


def test_the_same_request_id_with_another_message_model_or_option_is_refused(owner: User, thread: Thread) -> None:
    ask(owner, thread, "one", request_id="r1")
    CatalogModel.objects.filter(slug="demo").update(slug="demo-2")
    CatalogModel.objects.create(
        slug="demo", label="Demo", provider="demo", upstream="demo", context_window=1000, input_price=1, output_price=1
    )
    for change in ({"text": "two"}, {"model": "demo-2"}, {"options": {"max_tokens": 5}}):
        refused = refusal(ask, owner, thread, **{"text": "one", "request_id": "r1", **change})
        assert (refused.status, refused.kind) == (422, "idempotency_error")
    assert Turn.objects.count() == 1


def test_a_request_id_counts_within_its_thread_alone(owner: User, thread: Thread) -> None:
    other = actions.create_thread(owner)
    assert ask(owner, thread, request_id="r").turn_id != ask(owner, other, "other", request_id="r").turn_id


def test_sends_are_numbered_in_their_order(owner: User, thread: Thread) -> None:
    for _ in range(5):
        ask(owner, thread)
    assert list(thread.turns.order_by("number").values_list("number", flat=True)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("text", ["", " \n\t ", "\u2003"])
def test_an_empty_message_is_refused(owner: User, thread: Thread, text: str) -> None:
    assert refusal(ask, owner, thread, text).status == 400
    assert refusal(ask, owner, thread, [{"type": "text", "text": text}]).status == 400
    assert refusal(ask, owner, thread, []).status == 400
    assert not Turn.objects.exists()


def test_a_message_of_a_megabyte_is_refused_with_its_length_and_the_limit(owner: User, thread: Thread) -> None:
    refused = refusal(ask, owner, thread, "x" * 1_000_000)
    assert refused.status == 413
    assert "1,000,000" in refused.message
    assert "200,000" in refused.message
    assert ask(owner, thread, "x" * 200_000)


def test_nul_and_lone_surrogates_are_stored_as_replacement_characters(owner: User, thread: Thread) -> None:
    for text in ("a\0b", "a\ud800b"):
        turn_id = ask(owner, thread, text).turn_id
        assert Message.objects.get(turn_id=turn_id, role="user").content == [{"type": "text", "text": "a\ufffdb"}]


def test_nul_and_lone_surrogates_in_given_blocks_and_options_are_stored_too(owner: User, thread: Thread) -> None:
    turn_id = ask(owner, thread, [{"type": "text", "text": "a\0b\ud800"}], options={"system": "be\0brief\udfff"}).turn_id
    assert Message.objects.get(turn_id=turn_id, role="user").content[0]["text"] == "a\ufffdb\ufffd"
    assert Turn.objects.get(pk=turn_id).options == {"system": "be\ufffdbrief\ufffd"}


@pytest.mark.parametrize("model", ["", "gpt-9", "demo\0", "\ud800", "x" * 5000, "claude-haiku-4-5"])
def test_a_model_that_is_unknown_or_not_configured_is_refused(owner: User, thread: Thread, model: str, settings: Any) -> None:
    settings.ANTHROPIC_API_KEYS = []
    assert refusal(ask, owner, thread, model=model).status == 400


def test_a_model_that_was_switched_off_is_refused(owner: User, thread: Thread) -> None:
    row = CatalogModel.objects.get(slug="demo")
    row.enabled = False
    row.save()
    assert refusal(ask, owner, thread).status == 400


@pytest.mark.parametrize("request_id", ["", "x" * 256, "a\0b", "a\nb", "a\ud800", "\u2028"])
def test_a_request_id_has_1_to_255_printable_characters(owner: User, thread: Thread, request_id: str) -> None:
    assert refusal(ask, owner, thread, request_id=request_id).status == 400
    assert ask(owner, thread, request_id="x" * 255)
    assert ask(owner, thread, request_id="né 🙂")


def test_a_foreign_thread_and_one_that_is_not_there_are_refused_alike(owner: User, stranger: User, thread: Thread) -> None:
    foreign, missing = refusal(ask, stranger, thread), refusal(ask, stranger, uuid7())
    assert (
        (foreign.status, foreign.kind, foreign.message)
        == (missing.status, missing.kind, missing.message)
        == (404, "not_found_error", missing.message)
    )
    create = refusal(ask, stranger, thread, create=True)
    assert (create.status, create.message) == (404, missing.message)
    assert not Turn.objects.exists()
    thread.refresh_from_db()
    assert (thread.user, thread.turn_count) == (owner, 0)


def test_a_thread_is_made_by_its_first_send_when_that_is_asked_for(owner: User) -> None:
    thread_id = uuid7()
    assert refusal(ask, owner, thread_id).status == 404
    assert not Thread.objects.exists()
    assert ask(owner, thread_id, create=True).thread_created
    assert not ask(owner, thread_id, create=True).thread_created
    thread = Thread.objects.get()
    assert (thread.pk, thread.user, thread.key, thread.turn_count) == (thread_id, owner, owner.api_keys.get(), 2)


def test_a_refused_first_send_leaves_no_empty_thread_behind(owner: User) -> None:
    refusal(ask, owner, uuid7(), "", create=True)
    refusal(ask, owner, uuid7(), model="nope", create=True)
    assert not Thread.objects.exists()


def test_sending_into_a_deleted_thread_is_refused_and_does_not_bring_it_back(owner: User, thread: Thread) -> None:
    actions.delete_thread(owner, thread.pk)
    assert refusal(ask, owner, thread).status == 404
    assert refusal(ask, owner, thread, create=True).status == 404


def test_past_the_capacity_a_send_is_refused_at_once_with_a_time_to_wait(owner: User, thread: Thread, settings: Any) -> None:
    settings.MAX_QUEUED_TURNS = 2
    ask(owner, thread)
    ask(owner, thread)
    load._looked_at = 0.0
    refused = refusal(ask, owner, thread)
    assert (refused.status, refused.kind) == (503, "overloaded_error")
    assert refused.retry_after
    assert Turn.objects.count() == 2


def test_a_message_in_an_archived_thread_brings_it_back_to_the_list(owner: User, thread: Thread) -> None:
    actions.set_archived(owner, thread.pk, True)
    ask(owner, thread)
    thread.refresh_from_db()
    assert thread.archived_at is None


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Short", "Short"),
        ("  two\n\nlines \t here ", "two lines here"),
        ("word " * 30, "word " * 11 + "word…"),
        ("x" * 300, "x" * 60 + "…"),
    ],
)
def test_the_first_words_stand_in_for_a_title(owner: User, thread: Thread, text: str, title: str) -> None:
    ask(owner, thread, text)
    ask(owner, thread, "Later")
    thread.refresh_from_db()
    assert (thread.title, thread.title_source) == (title, "words")


@pytest.mark.django_db(transaction=True)
def test_fifty_sends_with_one_request_id_at_once_are_one_message_and_one_turn(owner: User) -> None:
    thread_id, barrier = uuid7(), threading.Barrier(50)

    def send(_: int) -> actions.Admission:
        try:
            barrier.wait()
            return ask(owner, thread_id, "Once", request_id="same", create=True)
        finally:
            connection.close()

    with ThreadPoolExecutor(50) as pool:
        admissions = list(pool.map(send, range(50)))
    assert len({one.turn_id for one in admissions}) == 1
    assert Counter(one.replayed for one in admissions) == {False: 1, True: 49}
    assert (Thread.objects.count(), Turn.objects.count(), Message.objects.count()) == (1, 1, 2)
    assert Thread.objects.get().turn_count == 1


@pytest.mark.django_db(transaction=True)
def test_parallel_sends_of_one_thread_are_numbered_without_gap_or_repeat(owner: User) -> None:
    thread = actions.create_thread(owner)

    def send(number: int) -> None:
        try:
            ask(owner, thread, f"message {number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(send, range(60)))
    assert list(thread.turns.order_by("number").values_list("number", flat=True)) == list(range(1, 61))


# --- stopping and taking back ---------------------------------------------------------------------------------------------


def test_stop_marks_the_running_turn_once_and_tells_its_process(
    owner: User, thread: Thread, announced: Announced, django_capture_on_commit_callbacks: Any
) -> None:
    turn = begin(ask(owner, thread).turn_id)
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            actions.stop(owner, thread.pk)
    first = Turn.objects.get(pk=turn.pk).stop_requested_at
    assert first
    assert [one for one in announced if one[1] == "stop"] == [("replies", "stop", {str(turn.pk)})]


def test_stop_before_anybody_has_begun_ends_what_is_next_and_keeps_its_question(
    owner: User, thread: Thread, announced: Announced, django_capture_on_commit_callbacks: Any
) -> None:
    actions.stop(owner, thread.pk)
    first, second = (ask(owner, thread, text).turn_id for text in ("first", "second"))
    announced.clear()
    with django_capture_on_commit_callbacks(execute=True):
        actions.stop(owner, thread.pk)
    assert announced == [("live", "threads", {str(thread.pk)}), ("replies", "work", set())]
    turn = Turn.objects.get(pk=first)
    assert (turn.status, turn.first_seq, turn.finished_at is not None, turn.on_path) == ("stopped", 1, True, True)
    rows = Message.objects.filter(turn=first).order_by("seq").values_list("seq", "role", "status")
    assert list(rows) == [(1, "user", "complete"), (2, "assistant", "stopped")]
    assert begin(second).first_seq == 3
    actions.stop_turn(owner, turn)
    assert Turn.objects.get(pk=first).stop_requested_at is None


def test_stopping_a_turn_that_has_been_claimed_since_it_was_read_stops_it_all_the_same(owner: User, thread: Thread) -> None:
    turn = Turn.objects.get(pk=ask(owner, thread).turn_id)
    begin(turn.pk)
    assert turn.status == "queued"
    actions.stop_turn(owner, turn)
    assert (turn.status, turn.stop_requested_at is not None) == ("running", True)


def test_only_what_is_next_keeps_its_question_what_waits_behind_it_is_taken_back(owner: User, thread: Thread) -> None:
    first, second = (Turn.objects.get(pk=ask(owner, thread).turn_id) for _ in range(2))
    actions.stop_turn(owner, second)
    assert (second.status, second.first_seq, second.on_path) == ("stopped", None, False)
    actions.stop_turn(owner, first)
    assert (first.status, first.first_seq, first.on_path) == ("stopped", 1, True)


def test_a_queued_message_can_be_taken_back_and_leaves_no_trace_in_the_history(owner: User, thread: Thread) -> None:
    ask(owner, thread, "first")
    second = ask(owner, thread, "second, to be edited").turn_id
    assert actions.withdraw(owner, second) == "second, to be edited"
    assert not Message.objects.filter(turn_id=second).exists()
    turn = Turn.objects.get(pk=second)
    assert (turn.status, turn.finished_at is not None) == ("stopped", True)
    refused = refusal(actions.withdraw, owner, second)
    assert refused.status == 409


def test_a_message_that_is_being_answered_cannot_be_taken_back(owner: User, thread: Thread) -> None:
    turn = begin(ask(owner, thread).turn_id)
    assert refusal(actions.withdraw, owner, turn.pk).status == 409
    assert Message.objects.filter(turn=turn).count() == 2


# --- the thread itself ----------------------------------------------------------------------------------------------------


def test_a_title_is_cleaned_and_has_1_to_200_characters(owner: User, thread: Thread) -> None:
    actions.rename(owner, thread.pk, "  My\n\0 plans\ud800 ")
    thread.refresh_from_db()
    assert (thread.title, thread.title_source, thread.title_due) == ("My \ufffd plans\ufffd", "user", False)
    for title in ("", " \n ", "x" * 201):
        assert refusal(actions.rename, owner, thread.pk, title).status == 400


def test_a_title_that_a_person_gave_is_not_replaced(owner: User, thread: Thread) -> None:
    actions.rename(owner, thread.pk, "Mine")
    actions.set_title_of_model(thread, "From the model")
    ask(owner, thread, "First words")
    thread.refresh_from_db()
    assert thread.title == "Mine"


def test_pin_and_archive_are_switched_on_and_off(owner: User, thread: Thread) -> None:
    for switch, field in ((actions.set_pinned, "pinned_at"), (actions.set_archived, "archived_at")):
        switch(owner, thread.pk, True)
        thread.refresh_from_db()
        assert getattr(thread, field)
        switch(owner, thread.pk, False)
        thread.refresh_from_db()
        assert getattr(thread, field) is None


def test_a_deleted_thread_is_gone_stops_its_answer_and_comes_back_with_undo(owner: User, thread: Thread) -> None:
    turn = begin(ask(owner, thread).turn_id)
    actions.delete_thread(owner, thread.pk)
    turn.refresh_from_db()
    assert turn.stop_requested_at
    assert not Thread.objects.for_user(owner).exists()
    assert refusal(actions.delete_thread, owner, thread.pk).status == 404
    actions.undo_delete(owner, thread.pk)
    actions.undo_delete(owner, thread.pk)
    assert Thread.objects.for_user(owner).get() == thread


def test_a_stranger_gets_what_a_missing_id_gets_and_changes_nothing(owner: User, stranger: User, thread: Thread) -> None:
    turn_id = ask(owner, thread, "private").turn_id
    begin(turn_id)
    queued = ask(owner, thread, "queued").turn_id
    deleted = actions.create_thread(owner)
    actions.delete_thread(owner, deleted.pk)

    def rows() -> list[Any]:
        return [list(model.objects.order_by("pk").values()) for model in (Thread, Turn, Message)]

    before = rows()
    calls: list[tuple[Callable[..., Any], UUID, tuple[Any, ...]]] = [
        (actions.stop, thread.pk, ()),
        (actions.withdraw, queued, ()),
        (actions.withdraw, turn_id, ()),
        (actions.rename, thread.pk, ("x",)),
        (actions.set_pinned, thread.pk, (True,)),
        (actions.set_archived, thread.pk, (True,)),
        (actions.delete_thread, thread.pk, ()),
        (actions.undo_delete, deleted.pk, ()),
        (actions.undo_delete, thread.pk, ()),
    ]
    for call, target, rest in calls:
        foreign, missing = refusal(call, stranger, target, *rest), refusal(call, stranger, uuid7(), *rest)
        assert (foreign.status, foreign.kind, foreign.message) == (404, missing.kind, missing.message), call.__name__
    assert rows() == before


def test_time_goes_on_for_a_thread_with_every_change_that_can_be_seen(owner: User, thread: Thread) -> None:
    long_ago = timezone.now() - timedelta(days=1)
    changes: list[Callable[[], Any]] = [
        lambda: ask(owner, thread),
        lambda: actions.rename(owner, thread.pk, "x"),
        lambda: actions.set_pinned(owner, thread.pk, True),
        lambda: actions.set_archived(owner, thread.pk, True),
        lambda: actions.delete_thread(owner, thread.pk),
        lambda: actions.undo_delete(owner, thread.pk),
    ]
    for change in changes:
        Thread.objects.filter(pk=thread.pk).update(changed_at=long_ago)
        change()
        thread.refresh_from_db()
        assert thread.changed_at > long_ago
