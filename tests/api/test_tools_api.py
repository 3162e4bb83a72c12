"""Tools over HTTP: registering them, and the meta-tools' twins (contract, sections 10 to 12)."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core import serializers

from accounts.models import User
from tests.api.client import Caller, Reply
from tools.models import DirectCall, RegisteredTool, ToolRule

Callers = Callable[..., Caller]
SCHEMA = {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
CANARY = "canary-5d41402abc4b2a76"


def webhook(name: str = "get_weather", url: str = "https://example.com/hook", **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "Current weather.", "input_schema": SCHEMA, "webhook_url": url, **more}


@pytest.fixture
def app_server() -> Iterator[tuple[str, list[Any]]]:
    """The address of an app's own server, and what it was sent as (headers, body)."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((self.headers, body))
            answer = json.dumps({"output": {"celsius": 21, "for": json.loads(body)["input"]["location"]}}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", seen
    server.shutdown()


def execute(who: Caller, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    reply = who.post("/v1/tools/execute", {"calls": [{"tool": name, "args": args} for name, args in calls]})
    assert reply.status == 200, reply
    results: list[dict[str, Any]] = reply.json["results"]
    return results


def test_a_webhook_is_registered_listed_and_revoked(admin: Caller) -> None:
    made = admin.post("/v1/tools", webhook(timeout_ms=15000))
    assert made.status == 201
    assert set(made.json) == {
        *("id", "object", "name", "description", "input_schema", "kind", "webhook_url", "timeout_ms", "auth_mode", "secret", "created_at")
    }
    assert (made.json["object"], made.json["name"], made.json["timeout_ms"]) == ("tool", "get_weather", 15000)
    assert made.json["id"].startswith("tool_")
    assert len(made.json["id"]) == len("tool_") + 32
    assert made.json["secret"].startswith("wsk_")
    listed = admin.get("/v1/tools").json
    assert listed["object"] == "list"
    assert [row["id"] for row in listed["data"]] == [made.json["id"]]
    assert listed["data"][0] == {name: value for name, value in made.json.items() if name != "secret"}
    gone = admin.call("DELETE", f"/v1/tools/{made.json['id']}")
    assert (gone.status, gone.json["ok"], gone.json["deleted"]) == (200, True, True)
    assert admin.call("DELETE", f"/v1/tools/{made.json['id']}").status == 404
    assert admin.get("/v1/tools").json["data"] == []
    assert admin.post("/v1/tools", webhook()).status == 201, "the name is free again"


def test_a_name_is_taken_once_however_many_ask_at_the_same_time(admin: Caller, caller: Callers) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = [reply.status for reply in pool.map(lambda _: admin.post("/v1/tools", webhook("once")), range(8))]
    assert sorted(statuses) == [201] + [409] * 7
    assert "already have a tool called once" in admin.post("/v1/tools", webhook("once")).error
    assert caller(scope="admin").post("/v1/tools", webhook("once")).status == 201, "another account's"


BAD_SCHEMAS: list[Any] = [
    None,
    "object",
    [],
    {"type": "array"},
    {"type": "objekt"},
    {"properties": 5},
    {"properties": {"a": {"type": "strin"}}},
    {"properties": {"a": {"pattern": "("}}},
    {"properties": {"a": {"$ref": "#/$defs/none"}}},
    {"properties": {"a": {"$ref": "http://169.254.169.254/latest"}}},
    {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
    {"$schema": "https://example.com/own"},
    {"required": "a"},
    {"description": "x" * 70_000},
]
BAD_TOOLS: list[tuple[dict[str, Any], str]] = [
    *(({"name": name}, "name") for name in ("", "a b", "a/b", "qlaud-builtin/x", "x" * 65, "naïve", 5, None)),
    *(({"description": value}, "description") for value in (None, "", 5, "x" * 10_001)),
    *(({"input_schema": value}, "input_schema") for value in BAD_SCHEMAS),
    *(
        ({"webhook_url": url}, "webhook_url")
        for url in (
            "http://example.com/hook",
            "ftp://example.com/hook",
            "example.com/hook",
            "https://",
            "https://user:word@example.com/",
            "https://10.0.0.1/",
            "https://[::1]/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::ffff:10.0.0.1]/",
            "https://example.com/" + "x" * 2000,
            5,
        )
    ),
    *(({"timeout_ms": value}, "timeout_ms") for value in (0, -1, 120_001, "x", None)),
    ({"provider": "qlaud-builtin/calculator"}, "webhook_url"),
    ({"webhook_url": None}, "webhook_url"),
    ({"approval": "perhaps"}, "approval"),
]


def test_a_tool_that_cannot_work_is_refused_with_the_field(admin: Caller) -> None:
    for change, field in BAD_TOOLS:
        reply = admin.post("/v1/tools", webhook() | change)
        assert reply.status == 400, (change, reply)
        assert field in reply.error, (change, reply)
    assert admin.get("/v1/tools").json["data"] == []


def test_meta_names_are_taken(admin: Caller) -> None:
    assert admin.post("/v1/tools", webhook("qlaud_multi_execute")).status == 409


def test_a_built_in_is_registered_with_settings_that_never_come_back(admin: Caller, account: Callable[..., User]) -> None:
    config = {"brave_api_key": CANARY, "country": "us"}
    made = admin.post("/v1/tools", {"name": "search_web", "provider": "qlaud-builtin/web-search", "config": config})
    assert made.status == 201, made
    assert made.json["provider"] == "qlaud-builtin/web-search"
    assert not {"secret", "webhook_url", "config", "timeout_ms"} & made.json.keys()
    assert made.json["input_schema"]["required"] == ["query"]
    assert CANARY.encode() not in made.body + admin.get("/v1/tools").body
    dumped = serializers.serialize("json", RegisteredTool.objects.all())
    assert "search_web" in dumped
    assert CANARY not in dumped
    assert "v2." in dumped


BAD_BUILTINS: list[dict[str, Any]] = [
    {"provider": "qlaud-builtin/nothing"},
    {"provider": "qlaud-builtin/slack-post-message"},
    {"provider": "slack-post-message", "config": {"wrong": CANARY}},
    {"provider": "slack-post-message", "config": CANARY},
    {"provider": "slack-post-message", "auth_mode": "per_user", "config": {"token": CANARY}},
    {"provider": "calculator", "auth_mode": "per_user"},
    {"provider": "calculator", "auth_mode": "both"},
    {"provider": "calculator", "input_schema": {"type": "array"}},
]


def test_a_built_in_that_cannot_work_is_refused_without_repeating_settings(admin: Caller) -> None:
    for given in BAD_BUILTINS:
        reply = admin.post("/v1/tools", {"name": "mine", **given})
        assert reply.status == 400, (given, reply)
        assert CANARY not in reply.error


def test_everybody_may_read_what_is_built_in(admin: Caller) -> None:
    listed = Caller(admin.url).get("/v1/builtins")
    assert listed.status == 200
    rows = {row["provider"]: row for row in listed.json["data"]}
    assert len(rows) >= 50
    for row in rows.values():
        assert row["provider"].startswith("qlaud-builtin/")
        assert {"display_name", "description", "provider_brand", "input_schema", "config_schema", "authMode"} <= row.keys()
        assert row["authMode"] in ("none", "tenant", "per_user", "either")
    assert rows["qlaud-builtin/web-search"]["config_schema"]["properties"]["brave_api_key"]["format"] == "password"


def test_the_meta_tools_have_twins(admin: Caller, app: Caller) -> None:
    found = app.post("/v1/tools/search", {"intent": "calculate something", "limit": 5})
    assert found.status == 200
    names = [row["name"] for row in found.json["results"]]
    assert "calculator" in names
    assert len(names) <= 5
    given = app.post("/v1/tools/schemas", {"tools": ["calculator"]}).json
    assert given["schemas"][0]["name"] == "calculator"
    assert given == app.post("/v1/tools/schemas", {"names": ["calculator"]}).json
    field = next(iter(given["schemas"][0]["input_schema"]["properties"]))
    first, second, third = execute(app, ("calculator", {field: "6*7"}), ("nothing", {}), ("calculator", {"wrong": 1}))
    assert "42" in json.dumps(first["output"])
    assert (first["tool"], first["is_error"]) == ("calculator", False)
    assert (second["is_error"], third["is_error"]) == (True, True)
    assert "no tool 'nothing'" in second["output"]
    for path, body in (
        ("search", {}),
        ("search", {"intent": ""}),
        ("schemas", {}),
        ("schemas", {"tools": ["a"] * 30}),
        ("execute", {}),
        ("execute", {"calls": []}),
        ("execute", {"calls": [{"args": {}}]}),
        ("execute", {"calls": [{"tool": "a"}] * 30}),
    ):
        reply = app.post(f"/v1/tools/{path}", body)
        assert (reply.status, bool(reply.error)) == (400, True), (path, body)


def test_an_app_runs_its_own_webhook_and_the_signature_fits(admin: Caller, app_server: tuple[str, list[Any]]) -> None:
    url, seen = app_server
    made = admin.post("/v1/tools", webhook(url=url)).json
    (result,) = execute(admin, ("get_weather", {"location": "Zürich"}))
    assert result == {"tool": "get_weather", "output": {"celsius": 21, "for": "Zürich"}, "is_error": False}
    headers, body = seen[0]
    signed = hmac.new(made["secret"].encode(), headers["x-qlaud-timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["x-qlaud-signature"] == signed
    sent = json.loads(body)
    assert (sent["tool_id"], sent["name"], sent["thread_id"], sent["end_user_id"]) == (made["id"], "get_weather", None, None)
    call = DirectCall.objects.get(pk=sent["tool_use_id"].removeprefix("call_"))
    assert (call.name, call.arguments, call.output, call.is_error) == ("get_weather", {"location": "Zürich"}, result["output"], False)
    assert (call.allowed_by, call.http_status, call.attempts, call.request_id) == ("registered", 200, 1, sent["request_id"])
    assert call.finished_at is not None


def test_rules_hold_for_an_app_too(admin: Caller, app_server: tuple[str, list[Any]]) -> None:
    url, seen = app_server
    for approval in ("deny", "ask"):
        assert admin.post("/v1/tools", webhook(approval, url, approval=approval)).status == 201
        (result,) = execute(admin, (approval, {"location": "x"}))
        assert result["is_error"]
    assert seen == []
    assert set(DirectCall.objects.values_list("name", "error_kind")) == {("deny", "denied"), ("ask", "denied")}
    assert admin.post("/v1/tools", webhook("allow", url, approval="allow")).status == 201
    assert not execute(admin, ("allow", {"location": "x"}))[0]["is_error"]
    ids = {row["name"]: row["id"] for row in admin.get("/v1/tools").json["data"]}
    admin.call("DELETE", f"/v1/tools/{ids['deny']}")
    assert not ToolRule.objects.filter(pattern="deny").exists(), "the next tool of this name begins anew"


def test_tools_of_one_account_are_not_anothers(admin: Caller, caller: Callers) -> None:
    made = admin.post("/v1/tools", webhook()).json
    stranger = caller(scope="admin")
    assert stranger.get("/v1/tools").json["data"] == []
    assert stranger.call("DELETE", f"/v1/tools/{made['id']}").status == 404
    assert "no tool" in execute(stranger, ("get_weather", {"location": "x"}))[0]["output"]
    assert "no tool" in execute(stranger, (made["id"], {"location": "x"}))[0]["output"]
    found: Reply = stranger.post("/v1/tools/search", {"intent": "get_weather current weather", "limit": 25})
    assert "get_weather" not in [row["name"] for row in found.json["results"]]
    for bad in ("tool_x", "x", made["id"].upper(), "tool_" + "0" * 32):
        assert admin.call("DELETE", f"/v1/tools/{bad}").status == 404
    assert admin.get("/v1/tools").json["data"] != []
