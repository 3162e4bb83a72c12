"""The shape of the code, as docs/architecture.md tells it: a change in the wrong place fails here, with its line."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from django.conf import settings

from tests.project.routes import every_route

ROOT: Path = settings.BASE_DIR
LEVELS = [{"chatai.lib"}, {"accounts"}, {"tools", "billing"}, {"threads"}, {"search"}, {"chatai"}]
# A vendor's SDK has one home: these files and no other.
HOMES = {"anthropic": "threads/providers/anthropic", "openai": "threads/providers/openai", "stripe": "billing/payments"}
HOMES |= {"pydantic_monty": "tools/sandbox"}
HOMES |= {"sentence_transformers": "search/embedder", "torch": "search/embedder"}
CLIENTS = {"aiohttp", "http.client", "httpcore2", "httpx", "httpx2", "requests", "urllib.request", "urllib3", "websockets", "mcp"}
CLIENT_HOMES = ("chatai/lib/http.py", "threads/providers/")
SOCKETS = {"anyio", "ftplib", "imaplib", "poplib", "smtplib", "socket", "ssl"}
CONNECTS = {"create_connection", "open_connection", "open_unix_connection", "sock_connect", "start_tls"}
# The guard itself; services of this machine; the name of this machine.
SOCKET_HOMES = (
    "chatai/lib/egress.py",
    "chatai/lib/http.py",
    "chatai/lib/embedded.py",
    "chatai/lib/layer.py",
    "chatai/management/",
    "threads/replies/runner.py",
)
# Clients that are not `fetch`: each connects by what it has from the guard.
GUARDED = {"tools/mcp_session.py": "GuardedTransport", "tools/smtp.py": "addresses"}
DOORS = ("views.py", "api.py", "consumers.py", "sse.py", "webhooks.py")
SCOPED = {"for_user", "for_key", "deleted_of"}
VAGUE = {"utils", "helpers", "services", "core", "common", "managers"}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


APPS = sorted(set().union(*LEVELS) - {"chatai.lib"})
FILES = [path for app in APPS for path in sorted((ROOT / app).rglob("*.py")) if "migrations" not in path.parts]
TREES = {path: ast.parse(path.read_text()) for path in FILES}
MODULES = {module_of(path): path for path in FILES}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every (line, dotted name) imported, `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports name their package in full"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def level(name: str) -> int | None:
    package = "chatai.lib" if name == "chatai.lib" or name.startswith("chatai.lib.") else name.split(".")[0]
    return next((number for number, packages in enumerate(LEVELS) if package in packages), None)


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_imports_point_down() -> None:
    wrong = []
    for path, tree in TREES.items():
        mine, here = level(module_of(path)), module_of(path).split(".")[0]
        assert mine is not None
        for line, name in imports(tree):
            other = level(name)
            same_app = name.split(".")[0] == here and mine == other
            if other is not None and not same_app and other >= mine:
                wrong.append(f"{named(path)}:{line} imports {name}")
    assert wrong == []


def test_nothing_imports_in_a_circle() -> None:
    graph = {}
    for path, tree in TREES.items():
        tops = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        names = {name if name in MODULES else name.rpartition(".")[0] for _, name in imports(tops)}
        graph[module_of(path)] = names & MODULES.keys() - {module_of(path)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_vendor_is_imported_in_its_one_home() -> None:
    wrong = [
        f"{named(path)}:{line} imports {name}"
        for path, tree in TREES.items()
        for line, name in imports(tree)
        if (home := HOMES.get(name.split(".")[0])) and not named(path).startswith(home)
    ]
    assert wrong == []


def test_only_the_guarded_client_and_the_providers_speak_http() -> None:
    wrong = [
        f"{named(path)}:{line} imports {name}"
        for path, tree in TREES.items()
        for line, name in imports(tree)
        if within(name, CLIENTS) and not named(path).startswith((*CLIENT_HOMES, *GUARDED))
    ]
    assert wrong == []


def test_nothing_connects_past_the_guard() -> None:
    wrong = []
    for path, tree in TREES.items():
        if named(path).startswith((*SOCKET_HOMES, *CLIENT_HOMES, *GUARDED)):
            continue
        wrong += [f"{named(path)}:{line} imports {name}" for line, name in imports(tree) if within(name, SOCKETS)]
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in CONNECTS]
        wrong += [f"{named(path)}:{call.lineno} uses {call.attr}" for call in calls]
    assert wrong == []
    for home, guard in GUARDED.items():
        assert guard in (ROOT / home).read_text(), f"{home} does not go through the guard"


def test_only_the_markdown_module_declares_text_safe() -> None:
    wrong = [named(path) for path, tree in TREES.items() for _, name in imports(tree) if name.endswith(".mark_safe")]
    assert set(wrong) <= {"threads/markdown.py"}
    templates = [path for app in ("templates", *APPS) for path in (ROOT / app).rglob("*.html")]
    assert [named(path) for path in templates if "|safe" in (text := path.read_text()) or "autoescape off" in text] == []


def test_doors_reach_rows_from_the_user_or_the_key() -> None:
    wrong = []
    for path, tree in TREES.items():
        if not path.name.endswith(DOORS):
            continue
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
        for call in calls:
            assert isinstance(call.func, ast.Attribute)
            if not ast.unparse(call.func.value).endswith(".objects") or call.func.attr in SCOPED:
                continue
            given = " ".join(ast.unparse(value) for value in (*call.args, *(keyword.value for keyword in call.keywords)))
            if "user" not in given and "key" not in given:
                wrong.append(f"{named(path)}:{call.lineno} {ast.unparse(call)}")
    assert wrong == []


def test_files_stay_small_and_say_what_they_are() -> None:
    assert [named(path) for path in FILES if len(path.read_text().splitlines()) > 400] == []
    assert [named(path) for path in FILES if VAGUE & set(path.relative_to(ROOT).with_suffix("").parts)] == []


def test_every_route_is_in_the_ownership_matrix() -> None:
    matrix = pytest.importorskip("tests.threads.test_matrix", reason="the matrix is written with the pages")
    assert every_route() - set(matrix.ROUTES) == set(), "say in tests/threads/test_matrix.py what a stranger gets there"
    assert set(matrix.ROUTES) - every_route() == set(), "these are gone"
