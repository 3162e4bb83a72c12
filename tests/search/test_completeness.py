"""Workers are killed and the broker is emptied again and again: in the end every message is in the index once, with its vector."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from pytest_django import DjangoDbBlocker

from accounts.models import User
from chatai.lib import embedded
from search import checking
from search.models import Passage
from tests.running import database_url, fresh_database, working_in
from tests.search.endpoint import running
from tests.search.talk import conversation
from tests.stack import Stack, until
from threads.models import Message, Outbox

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DATABASE = "test_chatai_search"
MESSAGES = 1000
ROUNDS = 5
RECOVERY = 60.0  # seconds


class Workers(Stack):
    """Those who index and embed, with a broker of their own."""

    def __init__(self, home: Path, embeddings: str) -> None:
        self.server = embedded.redis_server(home)
        self.broker = embedded.start(self.server, home / "redis.log")
        away = {"EMBEDDING_BASE_URL": embeddings, "EMBEDDING_MODEL": "toy", "DATA_DIR": str(home / "data")}
        super().__init__("search", fresh_database(DATABASE), self.server.url, **away)

    def wipe(self) -> None:
        with redis.Redis.from_url(self.server.url) as connection:
            connection.flushall()

    def stop(self) -> None:
        super().stop()
        embedded.stop(self.server, self.broker)


@pytest.fixture
def workers(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Workers]:
    (tmp_path / "data").mkdir()
    with running() as endpoint:
        made = Workers(tmp_path, endpoint.url)
        try:
            with django_db_blocker.unblock(), working_in(database_url(DATABASE)):
                yield made
        finally:
            made.stop()


def complete() -> bool:
    return not Outbox.objects.exists() and Passage.objects.filter(due_at=None).count() == MESSAGES


def went_on(before: int) -> bool:
    """Since there were that many passages; or there is nothing left to do."""
    return Passage.objects.count() > before or not Outbox.objects.exists()


def test_every_message_is_indexed_once_whatever_was_killed_on_the_way(workers: Workers) -> None:
    assert workers.server.url != settings.REDIS_URL, "others are not disturbed"
    chance = random.Random(11)
    owner = User.objects.create_user("owner@example.com")
    workers.start("clock", "embed")
    for round_number in range(ROUNDS):
        talk = ((f"Question {number} of round {round_number}", f"Answer {number}") for number in range(MESSAGES // ROUNDS // 2))
        conversation(owner, *talk)
        for name in chance.sample(["clock", "embed", "broker"], chance.randint(1, 3)):
            if name == "broker":
                workers.wipe()
            else:
                workers.restart(name)
        before = Passage.objects.count()
        until(lambda: went_on(before), 40, "somebody is at work between the kills")  # noqa: B023  used at once
    workers.restart("clock")
    workers.restart("embed")
    workers.wipe()
    until(complete, RECOVERY, "everything is in the index, with its vector")
    report = list(checking.check())[-1]
    assert (report.messages, report.passages, report.without_vector, report.differ) == (MESSAGES, MESSAGES, 0, 0)
    assert Message.objects.count() == MESSAGES
