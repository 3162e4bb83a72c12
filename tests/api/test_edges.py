"""Whatever is sent, the reply has the one envelope, a request id and a sentence that names what is wrong."""

import http.client
import json
import socket
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from django.db import connection

from accounts.models import ApiKey
from tests.api.client import MODEL, Caller, Reply
from tests.stack import Stack

MIB = 2**20


def refused(reply: Reply, status: int, kind: str = "invalid_request_error") -> str:
    """The sentence of a refusal."""
    sentence = reply.error
    assert (reply.status, reply.json["error"]["type"]) == (status, kind), reply
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["x-request-id"]
    return sentence


def test_routes_and_methods_that_are_not_there(admin: Caller) -> None:
    for path in ("/v1/nothing", "/v1/", "/v1/threads/not-an-id", f"/v1/threads/{uuid4()}/nothing", "/v1/threads/%00", "/v1/keys/../x"):
        refused(admin.get(path), 404, "not_found_error")
    for method, path in (
        ("PUT", "/v1/threads"),
        ("POST", f"/v1/threads/{uuid4()}"),
        ("DELETE", "/v1/models"),
        ("GET", "/v1/threads/empty"),
    ):
        reply = admin.call(method, path, {})
        refused(reply, 405)
        assert reply.headers["allow"]


def test_bodies_that_are_no_json_object(admin: Caller) -> None:
    thread_id = admin.thread()
    for body in (b"{", b'{"a":1,}', b"\xff\xfe", b'"text"', b"[1]", b"null", b'{"a":NaN}', b"[" * 100_000, b'{"a":' * 5000, b'{"a":1e999}'):
        for path in ("/v1/threads", "/v1/keys", f"/v1/threads/{thread_id}/messages"):
            refused(admin.post(path, body), 400)
    assert admin.post("/v1/threads", {"metadata": {"a": json.loads("[" * 90 + "]" * 90)}}).status == 201
    refused(admin.post("/v1/threads", {"metadata": {"a": json.loads("[" * 150 + "]" * 150)}}), 400)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"content": 7}, "content"),
        ({"content": None}, "content"),
        ({"content": []}, "content"),
        ({"content": ["text"]}, "content"),
        ({"content": "  \n "}, "empty"),
        ({"content": [{"type": "text"}]}, "content.0"),
        ({"content": [{"type": "tool_result", "tool_use_id": "x", "content": "y"}]}, "content.0"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "image", "source": {"type": "url", "url": "http://x"}}]}, "content.1"),
        ({"content": [{"type": "text", "text": "a"}] * 1001}, "1,000"),
        ({"model": None}, "model"),
        ({"model": ["a"]}, "model"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"stream": "perhaps"}, "stream"),
        ({"system": 3}, "system"),
        ({"on_busy": "wait"}, "on_busy"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"tools": "x"}, "tools"),
        ({"tools_mode": "x"}, "tools_mode"),
        ({"thinking": "x"}, "thinking"),
    ],
)
def test_a_wrong_field_is_named(admin: Caller, fields: dict[str, object], named: str) -> None:
    body = {"model": MODEL, "content": "hello", **fields}
    sentence = refused(admin.post(f"/v1/threads/{admin.thread()}/messages", body), 400)
    assert named in sentence


def test_fields_of_threads_and_keys_have_limits(admin: Caller) -> None:
    big = {"a": "x" * (16 * 1024)}
    thread_id = admin.thread(metadata={"a": "x" * 16_000})
    for body, named in (
        ({"metadata": big}, "metadata"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": [1]}, "metadata"),
        ({"title": "x" * 201}, "title"),
        ({"title": 7}, "title"),
    ):
        assert named in refused(admin.post("/v1/threads", body), 400)
        assert named in refused(admin.call("PATCH", f"/v1/threads/{thread_id}", body), 400)
    assert "metadata" in refused(admin.call("PATCH", f"/v1/threads/{thread_id}", {"metadata": {"b": "x" * 400}}), 400)
    assert "end_user_id" in refused(admin.post("/v1/threads", {"end_user_id": "x" * 256}), 400)
    assert admin.post("/v1/threads", {"title": "x" * 200, "end_user_id": "x" * 255, "metadata": {"n": 10**30, "f": 1e300}}).status == 201
    wrong: list[dict[str, object]] = [
        {},
        {"name": ""},
        {"name": "x" * 401},
        {"name": 1},
        {"name": "a", "scope": "root"},
        {"name": "a", "max_spend_usd": 1e12},
    ]
    for fields in wrong:
        refused(admin.post("/v1/keys", fields), 400)


def test_what_cannot_be_stored_is_replaced_at_the_border(admin: Caller) -> None:
    body = b'{"title":"a\\u0000b","end_user_id":"\\ud83d\\ude00\\ud83d","metadata":{"\\udead":"\\\\ud800 \\\\\\\\u0000","n":["\\uDFFF"]}}'
    made = admin.post("/v1/threads", body)
    assert made.status == 201
    assert made.json["title"] == "a\ufffdb"
    assert made.json["end_user_id"] == "\U0001f600\ufffd"
    assert made.json["metadata"] == {"\ufffd": "\\ud800 \\\\u0000", "n": ["\ufffd"]}
    sent = b'{"model":"demo","content":"nul \\u0000 and half \\ud800"}'
    assert admin.post(f"/v1/threads/{made.json['id']}/messages", sent).status == 200
    assert admin.messages(made.json["id"])["data"][0]["content"] == [{"type": "text", "text": "nul \ufffd and half \ufffd"}]
    for path in ("/v1/threads?end_user_id=%00", "/v1/threads?end_user_id=%ed%a0%80", "/v1/threads?end_user_id=%ff"):
        assert admin.get(path).json["data"] == []
    assert admin.call("DELETE", "/v1/end-users/%00%ff").json["threads"] == 0


def test_bodies_have_a_limit_that_is_kept(admin: Caller, stack: Stack) -> None:
    thread_id = admin.thread()
    path = f"/v1/threads/{thread_id}/messages"
    text = {"model": MODEL, "content": "x" * (4 * MIB)}
    assert "4 MiB" in refused(admin.post(path, text), 413, "request_too_large")
    assert "4 MiB" in refused(admin.post("/v1/threads", {"metadata": {"a": "x" * (4 * MIB)}}), 413, "request_too_large")
    assert "200,000" in refused(admin.post(path, {"model": MODEL, "content": "x" * 200_001}), 413, "request_too_large")
    assert "32 MiB" in refused(admin.post(path, b"x" * (32 * MIB + 1)), 413, "request_too_large")
    where = urlsplit(admin.url)
    line = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    chunks = (b"x" * MIB for _ in range(33))  # of a length that is not told
    line.request("POST", path, chunks, {"x-api-key": admin.key}, encode_chunked=True)
    response = line.getresponse()
    assert (response.status, json.loads(response.read())["error"]["type"]) == (413, "request_too_large")
    line.close()


def test_scopes_and_revocation_hold_in_every_process(stack: Stack, admin: Caller, app: Caller, database: None) -> None:
    for method, path in (("GET", "/v1/keys"), ("POST", "/v1/keys"), ("PATCH", f"/v1/keys/{uuid4()}"), ("DELETE", f"/v1/keys/{uuid4()}")):
        assert "admin" in refused(app.call(method, path, {}), 403, "permission_error")
        refused(Caller(admin.url).call(method, path, {}), 401, "authentication_error")
    assert app.get("/v1/threads").status == 200
    # As another process would: only the database is told.
    ApiKey.objects.filter(prefix=f"{app.key[:13]}…{app.key[-4:]}").update(revoked_at="2026-01-01T00:00Z")
    refused(app.get("/v1/threads"), 401, "authentication_error")


def test_a_session_cookie_counts_for_nothing(admin: Caller) -> None:
    refused(Caller(admin.url).get("/v1/threads", cookie="sessionid=abc"), 401, "authentication_error")


def test_browsers_on_other_origins_may_ask(admin: Caller) -> None:
    preflight = admin.call(
        "OPTIONS",
        f"/v1/threads/{uuid4()}/messages",
        origin="https://app.example.com",
        access_control_request_method="POST",
        access_control_request_headers="x-api-key,content-type,last-event-id",
    )
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == "*"
    allowed = preflight.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "x-api-key", "content-type", "last-event-id", "idempotency-key"} <= set(allowed)
    assert {"POST", "PATCH", "DELETE"} <= set(preflight.headers["access-control-allow-methods"].split(", "))
    exposed = admin.get("/v1/threads").headers["access-control-expose-headers"].split(", ")
    assert {
        "x-qlaud-thread-id",
        "x-qlaud-turn-id",
        "x-qlaud-assistant-seq",
        "x-qlaud-resolved-model",
        "x-request-id",
        "retry-after",
    } <= set(exposed)


def test_every_reply_has_a_request_id_and_the_callers_own_is_kept(admin: Caller) -> None:
    assert admin.get("/v1/threads", x_request_id="trace-7").headers["x-request-id"] == "trace-7"
    assert UUID(admin.get("/v1/threads").headers["x-request-id"])
    assert UUID(admin.get("/v1/threads", x_request_id="two words").headers["x-request-id"])
    with admin.stream(admin.thread(), "[[tokens=2]]") as stream:
        assert UUID(stream.headers["x-request-id"])
    assert admin.send(admin.thread(), "[[tokens=2]]").headers["x-request-id"]


def test_a_fault_of_ours_is_an_envelope_and_a_line_in_the_log(stack: Stack, admin: Caller, database: None) -> None:
    path = f"/v1/threads/{admin.thread()}/messages"
    # A column that `web` alone reads. `replies` looks into the table twice a second, and such a fault ends it, as it should.
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE threads_compaction RENAME COLUMN cost_micros TO away")
    try:
        reply = admin.get(path, x_request_id="find-me")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE threads_compaction RENAME COLUMN away TO cost_micros")
    refused(reply, 500, "api_error")
    assert "compaction" not in reply.error
    assert reply.headers["x-request-id"] == "find-me"
    assert b"find-me" in stack.log("web")
    assert admin.get(path).status == 200


def test_headers_of_any_kind_do_no_harm(admin: Caller) -> None:
    where = urlsplit(admin.url)
    for raw in (b"authorization: Bearer \xff\xfe\x80", b"x-api-key: \x01\x02", b"idempotency-key: \xff", b"x-request-id: \xe9\x00"):
        with socket.create_connection((where.hostname or "", where.port or 0), timeout=20) as sock:
            sock.sendall(b"GET /v1/threads HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + raw + b"\r\n\r\n")
            head = sock.recv(65536).split(b"\r\n")[0]
        assert head.split()[1] in (b"400", b"401"), head


def test_wrong_idempotency_keys(admin: Caller, caller: Callable[..., Caller]) -> None:
    thread_id = admin.thread()
    body = {"model": MODEL, "content": "[[tokens=2]]"}
    path = f"/v1/threads/{thread_id}/messages"
    for key in ("", "x" * 256, "a\tb"):
        assert "Idempotency-Key" in refused(admin.post(path, body, Idempotency_Key=key), 400)
    assert "differ" in refused(admin.post(path, body, Idempotency_Key="a", x_qlaud_request_id="b"), 400)
    assert admin.post(path, body, Idempotency_Key="x" * 255).status == 200
    assert admin.post(path, body, x_qlaud_request_id="alias").json["qlaud"]["request_id"] == "alias"
    assert admin.post(path, body, x_request_id="trace").json["qlaud"]["request_id"] != "trace"
    for other in ({"content": "other"}, {"model": "demo"}, {"max_tokens": 5}, {"system": "x"}):
        refused(admin.post(path, body | other, Idempotency_Key="x" * 255), 422, "idempotency_error")
    assert len(admin.messages(thread_id)["data"]) == 6
