"""What goes for good, and what must not."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from chatai.lib import hints
from tests.threads import histories
from threads import actions, cleaning, tasks
from threads.models import Message, Runner, Thread, Turn, TurnEvent
from threads.starting import RINGS, current_ring


@pytest.fixture(autouse=True)
def _quiet(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "announce", lambda *_: None)


def over(thread: Thread, ago: timedelta, ring: int = 3) -> None:
    """Every turn of the thread ended that long ago, with its journal in one ring."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE threads_turnevent e SET ring = %s FROM threads_turn t WHERE t.id = e.turn_id AND t.thread_id = %s", [ring, thread.pk]
        )
    Thread.objects.filter(pk=thread.pk).update(active_turn=None)
    thread.turns.filter(status="queued").delete()
    thread.turns.update(status="done", finished_at=timezone.now() - ago, ring=ring)


def elsewhere() -> int:
    """A ring that is not in use now."""
    return (current_ring() + RINGS // 2) % RINGS


def test_a_deleted_thread_is_erased_after_the_time_for_undo_with_its_journal(owner: User, stranger: User) -> None:
    gone, kept, others = (histories.conversation(user) for user in (owner, owner, stranger))
    over(gone, timedelta(0))
    actions.delete_thread(owner, gone.pk)
    assert cleaning.purge_deleted() == 0
    Thread.objects.filter(pk=gone.pk).update(deleted_at=timezone.now() - cleaning.PURGE_AFTER)
    assert cleaning.purge_deleted() == 1
    assert set(Thread.objects.all()) == {kept, others}
    assert set(Turn.objects.values_list("thread", flat=True)) == {kept.pk, others.pk}
    assert set(Message.objects.values_list("thread", flat=True)) == {kept.pk, others.pk}
    assert set(TurnEvent.objects.values_list("turn_id", flat=True)) <= set(Turn.objects.values_list("pk", flat=True))


def test_a_thread_whose_answer_still_runs_is_not_erased(owner: User) -> None:
    thread = histories.conversation(owner)
    Thread.objects.filter(pk=thread.pk).update(deleted_at=timezone.now() - timedelta(days=1))
    assert cleaning.purge_deleted() == 0


def test_journals_past_their_window_are_emptied_and_the_messages_stay(owner: User) -> None:
    thread = histories.conversation(owner)
    over(thread, timedelta(hours=2), elsewhere())
    assert cleaning.empty_rings() == [elsewhere()]
    assert not TurnEvent.objects.exists()
    assert Message.objects.filter(thread=thread).exists()
    assert cleaning.empty_rings() == []


@pytest.mark.parametrize("ago", [timedelta(minutes=59), timedelta(0)])
def test_a_journal_that_may_still_be_asked_for_stays(owner: User, ago: timedelta) -> None:
    thread = histories.conversation(owner)
    over(thread, timedelta(hours=2), elsewhere())
    Turn.objects.filter(thread=thread, number=1).update(finished_at=timezone.now() - ago)
    assert cleaning.empty_rings() == []
    assert TurnEvent.objects.exists()


def test_the_journal_of_a_running_turn_and_the_ring_in_use_are_never_emptied(owner: User) -> None:
    thread = histories.conversation(owner)
    over(thread, timedelta(hours=2), elsewhere())
    Turn.objects.filter(thread=thread, number=1).update(status="running", finished_at=None, lease_until=timezone.now())
    assert cleaning.empty_rings() == []
    Turn.objects.filter(thread=thread).delete()
    over(histories.conversation(owner), timedelta(hours=20), current_ring())
    assert current_ring() not in cleaning.empty_rings()


def test_heartbeats_of_processes_that_are_gone_are_forgotten() -> None:
    now = timezone.now()
    Runner.objects.create(name="gone", started_at=now, seen_at=now - timedelta(hours=2))
    Runner.objects.create(name="here", started_at=now, seen_at=now)
    tasks.clean()
    assert [runner.name for runner in Runner.objects.all()] == ["here"]
