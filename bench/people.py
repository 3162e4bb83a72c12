"""Who takes part: users with a session and a thread each, and one with a very long and a short conversation."""

from __future__ import annotations

import secrets
from datetime import timedelta
from itertools import pairwise
from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone

from accounts.models import User
from billing.models import Budget
from threads.models import Message, Thread, Turn

PERSON = f"person{{}}-{secrets.token_hex(4)}@bench.invalid"  # others than those of an earlier run in the same database
QUESTION = "How do I keep a sourdough starter alive while I am away for two weeks in the summer?"
ANSWER = """Feed it well, then slow it down:

1. **Feed** it at a ratio of 1:5:5 and let it stand for an hour.
2. Put it in the *coldest* part of the fridge, with the lid `loose`.
3. When you are back, feed it twice before you bake.

A stiff starter keeps longer than a wet one, because the bacteria work more slowly in it. Two weeks are no problem; after
four, expect to feed it three or four times before it rises as it did."""


def make(count: int, address: str = PERSON) -> list[dict[str, str]]:
    """`count` people as the load generator needs them."""
    password = make_password(None)
    users = User.objects.bulk_create([User(email=address.format(number), password=password) for number in range(count)])
    Budget.objects.bulk_create([Budget(user=user) for user in users])  # without a limit: a long run must not end for want of money
    threads = Thread.objects.bulk_create(
        [Thread(user=user, title=f"Talk {number}", title_source=Thread.TitleSource.USER) for number, user in enumerate(users)]
    )
    expires = timezone.now() + timedelta(days=1)
    store = SessionStore()
    sessions = [
        Session(session_key=secrets.token_hex(16), session_data=store.encode(_signed_in(user)), expire_date=expires) for user in users
    ]
    Session.objects.bulk_create(sessions)
    UserSession.objects.bulk_create(
        [UserSession(user=user, ip="127.0.0.1", session_key=one.session_key) for user, one in zip(users, sessions, strict=True)]
    )
    return [
        {"session": session.session_key, "csrf": secrets.token_hex(16), "thread": str(thread.pk)}
        for session, thread in zip(sessions, threads, strict=True)
    ]


def _signed_in(user: User) -> dict[str, Any]:
    backend = "django.contrib.auth.backends.ModelBackend"
    return {SESSION_KEY: str(user.pk), BACKEND_SESSION_KEY: backend, HASH_SESSION_KEY: user.get_session_auth_hash()}


def make_conversation(number: int, messages: int) -> str:
    """A thread of person `number` with that many messages; its id."""
    user = User.objects.get(email=PERSON.format(number))
    thread = Thread.objects.create(user=user, title=f"{messages} messages", turn_count=messages // 2, last_seq=messages, read_seq=messages)
    turns = [_turn(thread, number) for number in range(1, messages // 2 + 1)]
    for before, turn in pairwise(turns):
        turn.parent_id = before.pk
    Turn.objects.bulk_create(turns, batch_size=1000)
    rows = [_message(turn, role) for turn in turns for role in (Message.Role.USER, Message.Role.ASSISTANT)]
    Message.objects.bulk_create(rows, batch_size=1000)
    return str(thread.pk)


def _turn(thread: Thread, number: int) -> Turn:
    now = timezone.now()
    return Turn(
        thread=thread,
        number=number,
        request_id=str(number),
        request_digest=b"",
        model="demo",
        status=Turn.Status.DONE,
        first_seq=number * 2 - 1,
        started_at=now,
        finished_at=now,
        cost_micros=40,
    )


def _message(turn: Turn, role: Message.Role) -> Message:
    asked = role == Message.Role.USER
    return Message(
        thread_id=turn.thread_id,
        turn=turn,
        seq=turn.first_seq if asked else (turn.first_seq or 0) + 1,
        role=role,
        content=[{"type": "text", "text": QUESTION if asked else ANSWER}],
        model="" if asked else "demo",
        usage=None if asked else {"input_tokens": 40, "output_tokens": 120},
    )


def settle() -> None:
    """Statistics for the planner, as autovacuum would have made them by and by."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    connection.close()
