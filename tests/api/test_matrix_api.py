"""Who may do what under /v1: every route, asked by everybody who could ask. A route that is missing here fails."""

import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import User
from chatai.api import api
from tests.api.client import MODEL, Caller
from threads.models import Approval, Thread, ToolCall, Turn

Callers = Callable[..., Caller]

# Asked with the ids of the owner's things. Sees it: a standard key that made it, an admin key of the same account.
OWN: dict[str, Any] = {
    "GET /v1/threads/{thread_id}": None,
    "PATCH /v1/threads/{thread_id}": {"title": "taken"},
    "POST /v1/threads/{thread_id}/messages": {"model": MODEL, "content": "[[tokens=2]]"},
    "GET /v1/threads/{thread_id}/messages": None,
    "GET /v1/threads/{thread_id}/turns/{turn_id}/events": None,
    "POST /v1/threads/{thread_id}/turns/{turn_id}/stop": {},
    "GET /v1/threads/{thread_id}/events": None,
    "GET /v1/threads/{thread_id}/approvals": None,
    "GET /v1/threads/{thread_id}/search": None,
    "GET /v1/files/{file_id}/content": None,
    "DELETE /v1/threads/{thread_id}": None,  # last: it takes the others along
}
# The same, with what the owner gets: nobody waits for such a result, and the token is for something else.
OWN_REFUSED: dict[str, tuple[Any, int]] = {
    "POST /v1/threads/{thread_id}/tool-results/{tool_use_id}": ({"output": "42"}, 404),
    "POST /v1/threads/{thread_id}/approvals/{approval_id}": ({"token": "another", "decision": "deny"}, 403),
}
# Of the account, for admin keys alone.
ADMIN: dict[str, Any] = {
    "PATCH /v1/keys/{key_id}": {"max_spend_usd": 1},
    "GET /v1/keys/{key_id}/usage": None,
    "POST /v1/mcp-servers/{server_id}/refresh": {},
    "DELETE /v1/mcp-servers/{server_id}": None,
    "DELETE /v1/keys/{key_id}": None,
    "DELETE /v1/tools/{tool_id}": None,
}
# What each caller gets is theirs.
EACH: dict[str, Any] = {
    "POST /v1/threads": {"end_user_id": "somebody"},
    "GET /v1/threads": None,
    "DELETE /v1/threads/empty": None,
    "DELETE /v1/end-users/{end_user_id}": None,
    "GET /v1/models": None,
    "POST /v1/connections": {"action": "list"},
    "POST /v1/tools/search": {"intent": "calculate"},
    "POST /v1/tools/schemas": {"tools": ["calculator"]},
    "POST /v1/tools/execute": {"calls": [{"tool": "calculator", "args": {"expression": "6*7"}}]},
    "GET /v1/search": None,
}
EACH_ADMIN: dict[str, Any] = {
    "POST /v1/keys": {"name": "mine"},
    "GET /v1/keys": None,
    "GET /v1/usage": None,
    "POST /v1/tools": {"name": "mine", "provider": "qlaud-builtin/calculator"},
    "GET /v1/tools": None,
    "POST /v1/mcp-servers": {"name": "mine", "catalog_slug": "linear", "auth_mode": "per_user"},
    "GET /v1/mcp-servers": None,
}
PUBLIC = {"GET /v1/catalog": None, "GET /v1/builtins": None, "GET /v1/mcp-catalog": None}
QUERY = {"GET /v1/search": "?q=tokens", "GET /v1/threads/{thread_id}/search": "?q=tokens"}
FILE = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ="}}


def test_every_route_is_here() -> None:
    paths = api.get_openapi_schema(path_prefix="/v1/")["paths"]
    routes = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    assert routes == {*OWN, *OWN_REFUSED, *ADMIN, *EACH, *EACH_ADMIN, *PUBLIC}


@pytest.fixture
def owner(account: Callable[[str], User]) -> User:
    return account("owner")


@pytest.fixture
def things(owner: User, caller: Callers) -> tuple[Caller, dict[str, str]]:
    """The owner's standard key, and the ids of what was made with it."""
    maker = caller(owner)
    thread_id = maker.thread(end_user_id="somebody")
    sent = maker.send(thread_id, [{"type": "text", "text": "[[tokens=2]]"}, FILE]).json["qlaud"]
    file_id = maker.messages(thread_id)["data"][0]["content"][1]["source"]["file_id"]
    boss = caller(owner, scope="admin")
    minted = boss.post("/v1/keys", {"name": "one more"}).json
    tool = boss.post("/v1/tools", {"name": "theirs", "provider": "qlaud-builtin/calculator"}).json
    ids = {"thread_id": thread_id, "turn_id": sent["turn_id"], "file_id": file_id, "key_id": minted["id"], "end_user_id": "somebody"}
    ids["tool_id"] = tool["id"]
    ids["server_id"] = boss.post("/v1/mcp-servers", {"name": "theirs", "catalog_slug": "linear", "auth_mode": "per_user"}).json["id"]
    call = ToolCall.objects.create(turn_id=sent["turn_id"], tool_use_id="toolu_theirs", name="calculator", arguments={})
    asked = {"arguments": {}, "arguments_digest": bytes(32), "expires_at": timezone.now() + timedelta(hours=1)}
    ids |= {"tool_use_id": call.tool_use_id, "approval_id": str(Approval.objects.create(call=call, **asked).pk)}
    return maker, ids


def ask(who: Caller, route: str, ids: dict[str, str], body: object) -> int:
    with who.open(*address(route, ids), body) as stream:
        return stream.status


def address(route: str, ids: dict[str, str]) -> tuple[str, str]:
    method, path = route.split(" ")
    return method, path.format(**ids) + QUERY.get(route, "")


def test_the_owner_and_an_admin_of_the_account_see_it(things: tuple[Caller, dict[str, str]], owner: User, caller: Callers) -> None:
    maker, ids = things
    for who in (caller(owner, scope="admin"), maker):
        for route, body in list(OWN.items())[:-1]:
            assert ask(who, route, ids, body) == 200, route
        for route, (body, status) in OWN_REFUSED.items():
            assert ask(who, route, ids, body) == status, route
    assert ask(maker, "DELETE /v1/threads/{thread_id}", ids, None) == 200


def test_nobody_else_does_and_nothing_changes(
    things: tuple[Caller, dict[str, str]], owner: User, caller: Callers, account: Callable[[str], User]
) -> None:
    maker, ids = things
    missing = {name: str(uuid4()) for name in ids} | {"file_id": f"file_{uuid4().hex}"}
    before = Thread.objects.filter(pk=ids["thread_id"]).values("title", "deleted_at", "turn_count").get()
    strangers = {
        "another key of the account": caller(owner),
        "a standard key of another account": caller(account("stranger")),
        "an admin key of another account": caller(account("boss"), scope="admin"),
    }
    for name, who in strangers.items():
        for route, body in (OWN | {route: body for route, (body, _) in OWN_REFUSED.items()}).items():
            foreign, gone = (who.call(*address(route, of), body) for of in (ids, missing))
            assert (foreign.status, foreign.body) == (404, gone.body), f"{name}: {route}"
    for route, body in (OWN | ADMIN | EACH | EACH_ADMIN).items():
        assert ask(Caller(maker.url), route, ids, body) == 401, route
        assert ask(Caller(maker.url, "qlk_live_" + "a" * 64), route, ids, body) == 401, route
    assert Thread.objects.filter(pk=ids["thread_id"]).values("title", "deleted_at", "turn_count").get() == before
    assert Turn.objects.filter(thread_id=ids["thread_id"]).count() == 1


def test_keys_are_for_admins_of_the_account(
    things: tuple[Caller, dict[str, str]], owner: User, caller: Callers, account: Callable[[str], User]
) -> None:
    maker, ids = things
    for route, body in (ADMIN | EACH_ADMIN).items():
        assert ask(maker, route, ids, body) == 403, route
    for route, body in ADMIN.items():
        assert ask(caller(account("boss"), scope="admin"), route, ids, body) == 404, route
        assert ask(caller(owner, scope="admin"), route, ids, body) == 200, route


def test_what_is_listed_made_and_erased_is_the_callers_own(
    things: tuple[Caller, dict[str, str]], owner: User, caller: Callers, account: Callable[[str], User]
) -> None:
    maker, ids = things
    for who in (caller(owner), caller(account("stranger"), scope="admin")):
        for route, body in EACH.items():
            assert ask(who, route, ids, body) in (200, 201), route
        assert ids["thread_id"] not in [row["id"] for row in who.get("/v1/threads?end_user_id=somebody").json["data"]]
        assert who.get(f"/v1/threads?before={ids['thread_id']}").status == 404
    assert maker.get(f"/v1/threads/{ids['thread_id']}").status == 200
    assert ids["thread_id"] in [row["id"] for row in caller(owner, scope="admin").get("/v1/threads").json["data"]]
    assert ask(Caller(maker.url), "GET /v1/catalog", ids, None) == 200


@pytest.mark.slow
def test_the_time_tells_nothing_either(things: tuple[Caller, dict[str, str]], caller: Callers, account: Callable[[str], User]) -> None:
    _, ids = things
    stranger = caller(account("stranger"))
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(150):
        for foreign, taken in times.items():
            thread_id = ids["thread_id"] if foreign else str(uuid4())
            begun = time.perf_counter()
            assert stranger.get(f"/v1/threads/{thread_id}/messages").status == 404
            taken.append(time.perf_counter() - begun)
    foreign_ms, missing_ms = (statistics.median(taken) * 1000 for taken in times.values())
    print(f"foreign {foreign_ms:.2f} ms, missing {missing_ms:.2f} ms")
    assert abs(foreign_ms - missing_ms) < 5
