"""Titles and summaries: paid for by whoever the conversation is of, each as a line of its own, and not made against their will."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from billing.models import Budget, LedgerEntry, Reservation
from chatai.lib import hints
from tests.threads.test_actions import ask
from threads import actions, tasks
from threads.models import Message, Thread, Turn
from threads.providers import catalog


@pytest.fixture(autouse=True)
def quiet(db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(hints, "announce", lambda *_: None)
    settings.TASK_MODEL = "demo"
    settings.DEMO_DELAY_MS = 0
    catalog.forget()


def answered(user: User) -> Thread:
    """A thread whose first answer is there and that waits for a name."""
    thread = actions.create_thread(user)
    sent = ask(user, thread, "How do tides work?")
    Message.objects.filter(turn_id=sent.turn_id, role="user").update(seq=1)
    Turn.objects.filter(pk=sent.turn_id).update(status="done")
    Thread.objects.filter(pk=thread.pk).update(title_due=True, last_seq=1)
    return thread


def test_a_title_is_a_line_of_its_own(owner: User) -> None:
    thread = answered(owner)
    held = Budget.objects.get(user=owner).reserved_micros
    tasks.name_thread(str(thread.pk))
    thread.refresh_from_db()
    assert thread.title_source == "model"
    line = LedgerEntry.objects.for_user(owner).get(kind="title")
    assert (line.thread_id, line.turn_id, line.model, line.provider) == (thread.pk, None, "demo", "demo")
    assert line.cost_micros > 0
    assert line.input_tokens > 0
    assert thread.cost_micros == line.cost_micros, "part of what the conversation costs"
    budget = Budget.objects.get(user=owner)
    assert (budget.spent_micros, budget.reserved_micros) == (line.cost_micros, held)
    assert Budget.objects.get(key=thread.key_id).spent_micros == line.cost_micros
    assert Reservation.objects.get(kind="title").state == "settled"


def test_without_money_for_it_the_first_words_stay(owner: User) -> None:
    thread = answered(owner)
    Budget.objects.filter(user=owner).update(limit_micros=0)
    tasks.name_thread(str(thread.pk))
    thread.refresh_from_db()
    assert (thread.title, thread.title_source) == ("How do tides work?", "words")
    assert not LedgerEntry.objects.filter(kind="title").exists()
    assert not Reservation.objects.filter(kind="title").exists()


def test_side_calls_can_be_switched_off(owner: User, stranger: User, client_of: Callable[[User], Client]) -> None:
    page = client_of(owner).get("/settings/chat/")
    assert b'name="side_calls"' in page.content
    client_of(owner).post("/settings/chat/", {"default_model": "", "custom_instructions": ""})
    owner.refresh_from_db()
    stranger.refresh_from_db()
    assert (owner.side_calls, stranger.side_calls) == (False, True)
    thread = answered(owner)
    tasks.name_thread(str(thread.pk))
    thread.refresh_from_db()
    assert thread.title_source == "words"
    assert not LedgerEntry.objects.filter(kind="title").exists()
