"""`manage.py up` as a person uses it: one command, killed and stopped in every way."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from chatai.lib.env import read_file
from chatai.lib.supervisor import MARK
from tests.services import copy_seed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

# The process that embeds is there, and does not load the model on this machine, which takes eight seconds of processor.
NO_MODEL = {"EMBEDDING_BASE_URL": "http://127.0.0.1:1/v1", "EMBEDDING_MODEL": "toy"}
MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]


class Up:
    """A started `manage.py up` with everything it prints."""

    def __init__(self, data: Path, port: int, **variables: str) -> None:
        self.data, self.port = data, port
        unset = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "FIELD_ENCRYPTION_KEYS"}
        self.env = {name: value for name, value in os.environ.items() if name not in unset}
        self.env |= {"DATA_DIR": str(data), "PORT": str(port), **variables}
        self.output = data.with_name("up.log")
        self.began = time.monotonic()
        with self.output.open("wb") as output:
            self.process = subprocess.Popen([*MANAGE, "up"], env=self.env, stdout=output, stderr=subprocess.STDOUT)

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    @property
    def line(self) -> str:
        return f"chatai is ready on http://127.0.0.1:{self.port}"

    def until(self, what: Callable[[], object], seconds: float) -> float:
        """Seconds until `what` was so."""
        began = time.monotonic()
        while not what():
            assert time.monotonic() - began < seconds, f"not within {seconds} s:\n{self.text}"
            assert self.process.poll() is None, f"ended:\n{self.text}"
            time.sleep(0.1)
        return time.monotonic() - began

    def ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=8) as connection:
                connection.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return b" 200 " in connection.makefile("rb").readline()
        except OSError:
            return False

    def pid(self, name: str) -> int:
        """Of the running process of that name; 0 when there is none just now."""
        words = {
            "web": "daphne",
            "replies": "runreplies",
            "worker": "worker -B",
            "embed": "-Q embed",
            "redis": "redis-server",
            "postgres": "postgres",
        }
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                if words[name] in " ".join(child.cmdline()):
                    return child.pid
        return 0

    def everything(self) -> list[psutil.Process]:
        """All that runs for this data directory, whoever its parent is."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get(MARK) == str(self.data) or str(self.data) in " ".join((*process.cmdline(), process.cwd()))
            except psutil.Error:
                continue
            if ours and process.pid not in (os.getpid(), self.process.pid):
                found.append(process)
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        return time.monotonic() - began


@pytest.fixture(scope="module")
def static_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It collects static files anew, and tests in other processes are reading theirs."""
    return tmp_path_factory.mktemp("static")


@pytest.fixture
def up(tmp_path: Path, static_root: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def start(**variables: str) -> Up:
        one = Up(tmp_path / "data", port, STATIC_ROOT=str(static_root), **variables)
        started.append(one)
        return one

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop()
    assert [process.cmdline() for process in started[-1].everything()] == []


def test_it_heals_from_every_death_and_leaves_nothing_behind(up: Callable[..., Up], capsys: pytest.CaptureFixture[str]) -> None:
    one = up(ADMIN_EMAIL="admin@example.com", ADMIN_PASSWORD="correct horse battery")
    first = one.until(lambda: one.line in one.text, 90)
    assert re.search(r"^admin@example\.com is an administrator\.$", one.text, re.MULTILINE)

    for name, message in (
        ("web", "web was ended by SIGKILL; starting it again in 0.5 s"),
        ("replies", "replies was ended by SIGKILL"),
        ("worker", "worker was ended by SIGKILL"),
        ("redis", "redis was ended by SIGKILL"),
        ("postgres", "postgres was ended by SIGKILL"),
    ):
        victim = one.pid(name)
        assert victim, "0 would be everybody"
        os.kill(victim, signal.SIGKILL)
        one.until(lambda: message in one.text, 5)  # noqa: B023
        took = one.until(one.ready, 45)
        assert one.pid(name) != victim
        with capsys.disabled():
            print(f"\n{name} killed: ready again after {took:.1f} s", end="")

    assert one.text.count(one.line) == 1
    assert one.stop(signal.SIGINT) < 10
    assert one.process.returncode == 0
    assert one.everything() == []
    with capsys.disabled():
        print(f"\nfirst start {first:.1f} s")


def test_the_next_start_finds_its_data_and_secrets_and_clears_what_a_kill_left(
    up: Callable[..., Up], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    copy_seed(tmp_path / "data")  # what the very first start makes is tried above
    one = up(**NO_MODEL)
    one.until(lambda: one.line in one.text, 90)
    assert (one.data / "env").stat().st_mode & 0o777 == 0o600
    secrets = read_file(one.data / "env")
    mint = subprocess.run([*MANAGE, "mint_key", "--email", "a@example.com", "--name", "x"], env=one.env, capture_output=True, check=True)
    assert b'"secret"' in mint.stdout

    one.process.kill()
    one.process.wait()
    orphans = one.everything()
    assert len(orphans) >= 5

    two = up(**NO_MODEL)
    took = two.until(lambda: two.line in two.text, 60)
    assert re.search(r"^Ended \d+ processes that an earlier start left behind\.$", two.text, re.MULTILINE)
    assert [process for process in orphans if process.is_running()] == []
    again = read_file(two.data / "env")
    assert {name: again[name] for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS")} == {
        name: secrets[name] for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS")
    }
    count = "from accounts.models import User; print(User.objects.filter(email='a@example.com').count())"
    shell = subprocess.run([*MANAGE, "shell", "-v", "0", "-c", count], env=two.env, capture_output=True, check=True)
    assert shell.stdout.strip() == b"1"
    assert two.stop() < 10
    assert two.everything() == []
    with capsys.disabled():
        print(f"\nsecond start {took:.1f} s, after a kill -9 of everything's parent")


def test_a_taken_port_is_one_sentence(up: Callable[..., Up]) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        one = up(PORT=str(squatter.getsockname()[1]))
        assert one.process.wait(60) == 1
    assert re.fullmatch(
        r"CommandError: Port \d+ on 127\.0\.0\.1 cannot be used \(Address already in use\): stop what uses it or set PORT and HOST\.",
        one.text.strip(),
    )


def test_a_second_one_on_the_same_data_is_refused(up: Callable[..., Up], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        one = up()
        assert one.process.wait(60) == 1
    assert "chatai is already running with its data in" in one.text


def test_impossible_settings_end_it_with_their_name(up: Callable[..., Up]) -> None:
    one = up(ADMIN_EMAIL="admin@example.com", ADMIN_PASSWORD="")
    assert one.process.wait(90) == 1
    assert "(chatai.E003) ADMIN_EMAIL and ADMIN_PASSWORD go together" in one.text
