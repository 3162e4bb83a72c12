"""What the documents say is so."""

import ast
import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

ROOT: Path = settings.BASE_DIR
READERS = {"env.text", "env.flag", "env.integer", "env.decimal", "env.words", "env.url"}
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def variables_read() -> set[str]:
    """Names given to `env.…()` in the settings; `f"{name}_ID"` as the pattern `[A-Z0-9]+_ID`."""
    tree = ast.parse((ROOT / "chatai" / "settings.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {_pattern(call.args[0]) for call in calls if ast.unparse(call.func) in READERS}


def _pattern(name: ast.expr) -> str:
    if isinstance(name, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "[A-Z0-9]+" for part in name.values)
    assert isinstance(name, ast.Constant)
    return str(name.value)


def test_every_variable_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `([A-Z0-9_]+)` \|", (ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE)
    read = variables_read()
    assert len(documented) == len(set(documented))
    assert [name for name in read if not any(re.fullmatch(name, one) for one in documented)] == []
    assert [one for one in documented if not any(re.fullmatch(name, one) for name in read)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_files_that_are_named_exist(document: Path) -> None:
    text = document.read_text()
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets
    assert set(re.findall(r"manage\.py ([a-z_]+)", text)) <= set(get_commands())
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert [link for link in links if not (document.parent / link).exists()] == []
    paths = re.findall(r"`((?:chatai|threads|accounts|tests|bench|deploy|docs)/[\w./-]+\.\w+)", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_nothing_is_left_to_be_written() -> None:
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|TBD|lorem ipsum|coming soon)\b", re.IGNORECASE)
    assert [document.name for document in DOCUMENTS if unfinished.search(document.read_text())] == []


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 60


def test_hosts_get_the_processes_of_the_architecture() -> None:
    processes = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    assert set(processes) == {"release", "web", "replies", "worker", "embed"}
    assert "-b 0.0.0.0 -p $PORT" in processes["web"]
    app = json.loads((ROOT / "app.json").read_text())
    assert set(app["formation"]) == set(processes) - {"release"}
    read = variables_read()
    assert [name for name in app["env"] if name not in read] == []
