"""Conversations without processes: questions are admitted as ever, and answered here as the generating process would."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone
from psycopg_pool import AsyncConnectionPool

from accounts.models import User
from chatai.lib.postgres import conninfo
from threads import actions
from threads.blocks import Block, Partial, text_of
from threads.models import Message, Thread, Turn
from threads.providers.base import Request
from threads.providers.catalog import model_info
from threads.replies import claims
from threads.replies.context import Context

Messages = list[dict[str, Any]]


def ask(user: User, thread: Thread | UUID, text: str | list[Block], **rest: Any) -> Turn:
    """A question, queued."""
    thread_id = thread if isinstance(thread, UUID) else thread.pk
    given = {"model": "demo", "request_id": str(uuid4()), **rest}
    return Turn.objects.get(pk=actions.admit_turn(user, thread_id, content=text, **given).turn_id)


def begin(turn: Turn | UUID) -> Turn:
    """Claim it: it gets its sequence numbers."""
    with connection.cursor() as cursor:
        cursor.execute(claims.CLAIM, {"runner": "test", "lease": "60 seconds", "most": 10, "ring": 0})
    turn = Turn.objects.get(pk=turn if isinstance(turn, UUID) else turn.pk)
    assert turn.status == "running"
    return turn


def finish(turn: Turn, content: str | list[Block], status: str = "done") -> Turn:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    now = timezone.now()
    Turn.objects.filter(pk=turn.pk).update(status=status, finished_at=now, changed_at=now, lease_until=None)
    Thread.objects.filter(pk=turn.thread_id).update(active_turn=None, changed_at=now)
    Message.objects.filter(turn=turn, role="assistant").update(content=blocks, status="complete" if status == "done" else status)
    turn.refresh_from_db()
    return turn


def answer(turn: Turn | UUID, content: str | list[Block] = "An answer.") -> Turn:
    """Begin it and finish it."""
    return finish(begin(turn), content)


def say(user: User, thread: Thread | UUID, question: str, reply: str) -> Turn:
    return answer(ask(user, thread, question), reply)


def path(thread: Thread | UUID) -> list[str]:
    """The texts that are read now, questions and answers."""
    thread_id = thread if isinstance(thread, UUID) else thread.pk
    rows = Message.objects.filter(thread_id=thread_id).path(None, None).order_by("seq")
    return [text_of(row.content) for row in rows]


def texts(messages: Messages) -> list[str]:
    return [text_of(message["content"]) for message in messages]


async def request_of(turn_id: UUID, task_model: Any = None) -> Request:
    """What a running turn's provider is sent. The rows must be committed."""

    async def nobody() -> None:
        return None

    async with AsyncConnectionPool(conninfo("test"), min_size=1, max_size=2, kwargs={"autocommit": True}, open=False) as pool:
        async with pool.connection() as one:
            claimed = await _claimed(one, turn_id)
        info = await sync_to_async(model_info)(claimed.model)
        assert info is not None
        return await Context(pool, task_model or nobody).request(claimed, info, Partial())


async def _claimed(one: psycopg.AsyncConnection[Any], turn_id: UUID) -> claims.Claimed:
    statement = f"WITH held AS (SELECT * FROM threads_turn WHERE id = %(turn)s) SELECT {claims.AGAIN.format(hold='billing_reservation')}"
    (claimed,) = await claims._held(one, statement, turn=turn_id)
    return claimed
