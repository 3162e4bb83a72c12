"""What the processes load before they have anything to do: each module that is not needed is memory in every one of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

PREPARE = "import os, sys, json; os.environ['DJANGO_SETTINGS_MODULE'] = 'chatai.settings'; "
TELL = "; print(json.dumps(sorted(sys.modules)))"
WEB = "import chatai.asgi"
REPLIES = """import django; django.setup()
from threads.management.commands.runreplies import Command; from threads.providers import anthropic, catalog, openai
Command().check(tags=Command.requires_system_checks)
anthropic.AnthropicProvider(['key'], 'http://127.0.0.1'); catalog._make('openai')"""
# Whatever takes one of these in again, and its megabytes: `python -X importtime`.
NOT_IN_WEB = {"stripe": 5, "aiohttp": 5, "anthropic": 17, "openai": 6, "mcp": 10, "torch": 300}
NOT_IN_REPLIES = {"chatai.urls": 17, "ninja": 5, "stripe": 1, "mcp": 10, "torch": 300, "anthropic.resources": 10, "openai.resources": 2}


def told(code: str) -> list[str]:
    run = [sys.executable, "-W", "ignore", "-c", PREPARE + code + TELL]
    answer = subprocess.run(run, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True).stdout
    return list(json.loads(answer.splitlines()[-1]))


def test_web_loads_what_pages_need() -> None:
    assert set(told(WEB)) & NOT_IN_WEB.keys() == set()


def test_replies_load_what_answers_need() -> None:
    loaded = told(REPLIES)
    assert set(loaded) & NOT_IN_REPLIES.keys() == set()
    # Of 2,900 and 520. More after an update of an SDK: look whether its packages are still read piecemeal.
    assert sum(name.startswith("anthropic.") for name in loaded) < 1300
    assert sum(name.startswith("openai.") for name in loaded) < 120


@pytest.mark.parametrize("sdk", ["anthropic", "openai"])
def test_every_name_of_an_sdk_is_there_when_it_is_asked_for(sdk: str) -> None:
    code = f"""import threads.providers, {sdk} as sdk
from {sdk} import AsyncStream
early = sdk.types, sdk.APIStatusError
assert not any(name.startswith('{sdk}.resources') for name in sys.modules)
assert [name for name in sdk.__all__ if not hasattr(sdk, name)] == []
assert (sdk.types, sdk.APIStatusError, sdk.AsyncStream) == (*early, AsyncStream)
assert sdk.resources.Models and sdk.types.Model"""
    assert f"{sdk}.resources" in told(code)


def piecemeal(home: Path, package: dict[str, str], code: str) -> str:
    (home / "parcel").mkdir()
    for name, text in package.items():
        (home / "parcel" / f"{name}.py").write_text(text)
    ready = f"import sys; sys.path.insert(0, {str(home)!r})\nfrom chatai.lib.piecemeal import read_piecemeal\nread_piecemeal('parcel')\n"
    run = [sys.executable, "-c", ready + code]
    return subprocess.run(run, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True).stdout


PARCEL = {
    "__init__": "from .one import One as First\nfrom . import two\nfrom .two import *\nOWN = 'own'\nprint('run')\n",
    "one": "print('one')\nclass One: pass\n",
    "two": "print('two')\nTwo = 2\n",
    "three": "from . import one\nfrom .one import One\nprint('three')\n",
}


def test_a_name_brings_the_module_it_comes_from_and_no_other(tmp_path: Path) -> None:
    assert piecemeal(tmp_path, PARCEL, "from parcel import First; import parcel; assert parcel.First is First") == "one\n"


def test_a_module_can_be_asked_for_by_itself(tmp_path: Path) -> None:
    assert piecemeal(tmp_path, PARCEL, "import parcel.three; from parcel import two; parcel.two.Two") == "one\nthree\ntwo\n"


@pytest.mark.parametrize("asked", ["parcel.OWN", "parcel.Two", "exec('from parcel import *; OWN; Two; First')"])
def test_anything_else_is_what_it_would_have_been(tmp_path: Path, asked: str) -> None:
    code = f"import parcel; {asked}; {asked}; assert not hasattr(parcel, 'nothing'); assert parcel.two.Two == parcel.Two"
    assert piecemeal(tmp_path, PARCEL, code) == "one\ntwo\nrun\n"


def test_a_name_that_is_a_modules_too_is_what_it_would_have_been(tmp_path: Path) -> None:
    package = {"__init__": "from .same import same\nprint('run')\n", "same": "def same() -> None: ...\n", "other": "from . import same"}
    assert piecemeal(tmp_path, package, "import parcel.other; parcel.same()") == "run\n"


def test_a_name_that_is_nowhere_is_an_error_as_ever(tmp_path: Path) -> None:
    code = """import parcel
try: parcel.nothing
except AttributeError as error: print(error)
try: import parcel.no
except ImportError: print('no')"""
    assert piecemeal(tmp_path, PARCEL, code).splitlines()[-2:] == ["module 'parcel' has no attribute 'nothing'", "no"]
