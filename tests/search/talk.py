"""Conversations for the index, as they stand when their turns have ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import ApiKey, User
from search import generations, index, outbox
from threads.models import Message, Outbox, Thread, Turn


def say(thread: Thread, question: str, answer: str = "", *, at: datetime | None = None, model: str = "demo", **turn: Any) -> Turn:
    """One more turn of the thread, with its row in the outbox."""
    number = thread.turn_count = thread.turn_count + 1
    first = thread.last_seq + 1
    thread.last_seq += 2
    thread.save()
    at = at or timezone.now()
    given = {"status": "done", "model": model, "created_at": at, "finished_at": at, "changed_at": at, **turn}
    made = Turn.objects.create(
        thread=thread, number=number, request_id=f"{thread.pk}-{number}", request_digest=b"d", first_seq=first, **given
    )
    row = {"thread": thread, "turn": made, "created_at": at, "on_path": made.on_path}
    Message.objects.create(seq=first, role="user", content=[{"type": "text", "text": question}], **row)
    Message.objects.create(
        seq=first + 1, role="assistant", content=[{"type": "text", "text": answer}] if answer else [], model=model, **row
    )
    Outbox.objects.create(turn_id=made.pk, kind=Outbox.Kind.INDEX)
    return made


def conversation(user: User, *turns: tuple[str, str], title: str = "A talk", key: ApiKey | None = None, **thread: Any) -> Thread:
    """A thread with these questions and answers, a minute apart, the last one now."""
    made = Thread.objects.create(user=user, title=title, key=key, **thread)
    for number, (question, answer) in enumerate(turns, 1):
        say(made, question, answer, at=timezone.now() - timedelta(minutes=len(turns) - number))
    return made


def indexed() -> None:
    """Everything in the outbox, by its words."""
    generations.ensure()
    while outbox.take():
        pass


def index_everything() -> None:
    """The same for rows that were put into the tables without an outbox."""
    generations.ensure()
    index.index_turns(Turn.objects.values_list("pk", flat=True))
