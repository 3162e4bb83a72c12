"""The snippets of the API keys page, run against the running product."""

import os
import shutil
import subprocess
import sys

import pytest

from accounts import keys, snippets
from tests.running import World

NEEDED = {"curl": ["bash", "curl"], "python": [sys.executable], "javascript": ["node"]}


@pytest.mark.parametrize("language", snippets.LANGUAGES)
def test_the_snippets_run_as_they_are_pasted(language: str, world: World) -> None:
    runners = {
        "curl": ["bash", "-e", "-c"],
        "python": [sys.executable, "-c"],
        "javascript": ["node", "--input-type=module", "-e"],
    }
    if not all(map(shutil.which, NEEDED[language])):
        pytest.skip(f"{language} is not installed")
    owner = world.person()
    _, secret = keys.mint(owner, "My app")
    environment = {"PATH": os.environ["PATH"], "CHATAI_KEY": secret}

    def run(number: int) -> str:
        (code,) = [block.code for block in snippets.calls(world.stack.url, "demo")[number].blocks if block.language == language]
        done = subprocess.run([*runners[language], code], env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(0)
    thread = owner.threads.get()
    assert thread.end_user_id == "user_42"
    environment["THREAD_ID"] = str(thread.pk)
    streamed = run(1)
    turn = world.settled(thread.pk)[0]
    environment["TURN_ID"] = str(turn.pk)
    answer = world.history(thread.pk)[1].content[0]["text"]
    listed, resumed = run(2), run(3)
    assert "Hello!" in listed
    if language == "curl":
        assert "event: qlaud.done" in streamed
        assert "id: 5\n" not in resumed
        assert "id: 6\n" in resumed
    else:
        assert streamed == f"turn: {turn.pk}\n{answer}"
        assert answer.endswith(resumed)
        assert resumed not in ("", answer)
