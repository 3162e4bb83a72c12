"""Kill -9 of every process, again and again in the middle of answers. Nothing that a page showed may be missing afterwards."""

import random
import shutil
import subprocess
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from chatai.lib import embedded
from tests.page import Page
from tests.running import World, words, working_in
from tests.services import copy_seed, migrate
from tests.stack import Stack, until
from threads.blocks import text_of
from threads.models import Message, Turn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KILLS = 20
TOKENS = 60
MODELS = ("claude-haiku-4-5", "gpt-5-4-mini")  # the first can continue a partial answer, the second ends as interrupted


class Doomed(Stack):
    """A stack with PostgreSQL and Redis of its own, so that these can be killed too."""

    def __init__(self, home: Path) -> None:
        migrated = copy_seed(home)
        self.servers = {"postgres": embedded.postgres(home), "redis": embedded.redis_server(home)}
        super().__init__("kills", self.servers["postgres"].url, self.servers["redis"].url, LEASE_SECONDS="3")
        for name in self.servers:
            self.start(name)
        if not migrated:
            migrate(self.servers["postgres"].url)

    def start(self, *names: str, **env: str) -> None:
        for name in names:
            if name in self.servers:
                until(lambda: self._serves(name), 30, f"{name} is back")  # noqa: B023  used at once
            else:
                super().start(name, **env)

    def _serves(self, name: str) -> bool:
        try:
            self.processes[name] = embedded.start(self.servers[name], self.logs / f"{name}.log")
        except embedded.EmbeddedError:
            return False  # the children of the killed one are still leaving
        return True

    def stop(self) -> None:
        servers = {name: self.processes.pop(name) for name in self.servers if name in self.processes}
        super().stop()
        for name, process in servers.items():
            assert isinstance(process, subprocess.Popen)
            embedded.stop(self.servers[name], process)


@pytest.fixture(scope="module")
def doomed() -> Iterator[Doomed]:
    home = Path(tempfile.mkdtemp(prefix="chatai-kills-"))
    stack = Doomed(home)
    try:
        stack.start("provider", "web", "replies")
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def killing(doomed: Doomed, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    with django_db_blocker.unblock(), working_in(doomed.servers["postgres"].url):
        world = World(doomed, [], [])
        try:
            yield world
            connection.close()
            world.check()
        finally:
            connection.close()
            world.leave()


def ask(page: Page, model: str) -> None:
    """As the page does it: again with the same request id until it is admitted."""
    request_id = str(uuid.uuid4())

    def admitted() -> bool:
        try:
            return page.send(f"[[tokens={TOKENS} delay=25]]", model, request_id, new=True).status == 204
        except OSError:
            return False

    until(admitted, 30, "the message is admitted")


def watch(page: Page, check: Callable[[Page], bool], what: str) -> None:
    """Until `check`; the page comes back whenever its socket is closed, as its script does."""

    def seen() -> bool:
        if page.socket is None or page.close_code is not None:
            page.reconnect()
        return check(page)

    until(seen, 30, what)


@pytest.mark.parametrize("victim", ["web", "replies", "postgres", "redis"])
def test_nothing_shown_is_lost_when_a_process_is_killed(killing: World, doomed: Doomed, victim: str) -> None:
    dice, started = random.Random(victim), time.monotonic()
    user = killing.person()
    pages: list[Page] = []
    for number in range(KILLS):
        page = killing.page(user, records=True)
        pages.append(page)
        ask(page, MODELS[number % 2])
        watch(page, lambda p: bool(p.answer()), "the answer begins")
        time.sleep(dice.random() * TOKENS * 0.02)  # a random moment of the answer
        doomed.kill(victim)
        doomed.start(victim)
        connection.close()
        for one in pages:
            if one.close_code is not None and not one.over:
                one.reconnect()
    turns = killing.settled(*(page.thread_id for page in pages), seconds=60)
    for page in pages:
        watch(page, lambda p: p.over, "the page shows the end")
    endings = Counter(turn.status for turn in turns)
    stored = {turn.thread_id: text_in_history(turn) for turn in turns}
    shown = sum(len(max(page.shown, key=len, default="").split()) for page in pages)
    lost = [(text, whole) for page in pages for text in page.shown if not (whole := stored[page.thread_id]).startswith(text)]
    seconds, attempts = time.monotonic() - started, max(turn.attempts for turn in turns)
    print(f"\n{victim}: {KILLS} kills in {seconds:.0f} s; answers {dict(endings)}, at most {attempts} attempts; ", end="")
    print(f"tokens shown {shown}, missing {len(lost)}")
    assert lost == []
    assert len(turns) == KILLS
    assert set(endings) <= {"done", "interrupted"}
    for turn in turns:
        text = stored[turn.thread_id]
        assert text == (words(TOKENS) if turn.status == "done" else words(len(text.split())))
        assert text, "ended with its text"
    for page in pages:
        assert page.answer() == stored[page.thread_id], "the page shows it whole after its reconnect"
    if victim in ("web", "redis"):
        assert endings == {"done": KILLS}, "the answer goes on"
        assert attempts == 1
    assert not Turn.objects.filter(finished_at=None).exists()


def text_in_history(turn: Turn) -> str:
    return " ".join(text_of(Message.objects.get(turn=turn, role="assistant").content).split())
