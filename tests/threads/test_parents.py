"""Each turn follows the one before it, however many are sent at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection

from accounts.models import User
from threads import actions
from threads.models import Thread, Turn

SENDERS, SENDS = 8, 12


@pytest.mark.django_db(transaction=True)
def test_turns_sent_at_once_follow_one_another(owner: User) -> None:
    thread = Thread.objects.create(user=owner)

    def sends(number: int) -> None:
        try:
            for place in range(SENDS):
                actions.admit_turn(owner, thread.pk, content=f"{number} {place}", model="demo", request_id=str(uuid4()))
        finally:
            connection.close()

    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(sends, range(SENDERS)))
    turns = Turn.objects.filter(thread=thread).order_by("number")
    assert [turn.number for turn in turns] == list(range(1, SENDERS * SENDS + 1))
    before = [None, *(turn.pk for turn in turns)]
    wrong = [turn.number for turn, parent in zip(turns, before, strict=False) if turn.parent_id != parent]
    assert wrong == []
