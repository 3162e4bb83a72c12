"""The call sequences of the public clients (contract, section 26), and the parser of the official SDK."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from anthropic import NOT_GIVEN, Anthropic, Stream
from anthropic.lib.streaming import MessageStream
from anthropic.types import Message, RawMessageStreamEvent

from tests.api.client import MODEL, Caller, text_of
from threads.models import Turn


def test_the_tutorial(admin: Caller) -> None:
    bearer = {"authorization": f"Bearer {admin.key}"}
    server = Caller(admin.url)
    minted = server.post("/v1/keys", {"name": "self", "scope": "standard", "max_spend_usd": 5}, **bearer)
    user = {"authorization": f"Bearer {minted.json['secret']}"}
    thread_id = server.post("/v1/threads", {"end_user_id": "self"}, **user).json["id"]
    for number in range(3):
        body = {"model": MODEL, "max_tokens": 2048, "content": f"{number} [[tokens=4]]", "stream": True}
        with server.open("POST", f"/v1/threads/{thread_id}/messages", body, **user) as stream:
            # It decodes every chunk by itself and reads the lines that begin with "data: ".
            chunks = [line.decode() for line in stream.response]
        datas = [json.loads(line[6:]) for line in chunks if line.startswith("data: ")]
        said = "".join(data["delta"]["text"] for data in datas if data["type"] == "content_block_delta" and "text" in data["delta"])
        assert said == "w0 w1 w2 w3 "
    page = server.get(f"/v1/threads/{thread_id}/messages?order=desc&limit=4", **user).json
    older = server.get(f"/v1/threads/{thread_id}/messages?order=desc&limit=4&before_seq={page['next_before_seq']}", **user).json
    assert [row["seq"] for row in page["data"] + older["data"]] == [6, 5, 4, 3, 2, 1]
    assert older["next_before_seq"] is None


def test_the_post_with_curl_that_labels_nothing(admin: Caller, database: None) -> None:
    form = {"content_type": "application/x-www-form-urlencoded"}
    made = admin.post("/v1/threads", b'{"end_user_id": "user_42", "metadata": {"plan": "pro"}}', **form).json
    assert made["metadata"] == {"plan": "pro"}
    body = {"model": MODEL, "content": [{"type": "text", "text": "hi [[tokens=2]]"}], "tools_mode": "tenant"}
    assert admin.post(f"/v1/threads/{made['id']}/messages", json.dumps(body).encode(), **form).status == 200
    assert len(admin.messages(made["id"])["data"]) == 2


def test_the_reference_chat(admin: Caller) -> None:
    minted = admin.post("/v1/keys", {"name": "chatai:42", "scope": "standard", "max_spend_usd": None}).json
    user = Caller(admin.url, minted["secret"])
    thread_id = user.thread(end_user_id="42", metadata={"source": "chatai"})
    with user.stream(thread_id, "hello [[tokens=3]]", tools=[], max_tokens=2048) as stream:
        assert (stream.headers["x-qlaud-thread-id"], stream.headers["x-qlaud-assistant-seq"]) == (thread_id, "2")
        # It splits at blank lines and takes the first line that begins with "data: ".
        frames = [frame for frame in stream.response.read().decode().split("\n\n") if frame and not frame.startswith(":")]
    kinds = [json.loads(next(line for line in frame.split("\n") if line.startswith("data: "))[6:])["type"] for frame in frames]
    assert (kinds[0], kinds[-1]) == ("message_start", "qlaud.done")
    with ThreadPoolExecutor(2) as pool:  # a page load asks for both at once
        messages = pool.submit(user.get, f"/v1/threads/{thread_id}/messages?order=desc&limit=30")
        threads = pool.submit(user.get, "/v1/threads?limit=50&end_user_id=42")
    assert messages.result().json["next_before_seq"] is None
    assert [row["id"] for row in threads.result().json["data"]] == [thread_id]
    assert admin.call("DELETE", f"/v1/keys/{minted['id']}").json == {"ok": True}
    assert user.get("/v1/threads").status == 401


def test_the_starter_and_the_widget_that_read_raw_bytes(admin: Caller) -> None:
    minted = admin.post("/v1/keys", {"name": f"widget_enduser_{uuid4()}", "max_spend_usd": 1}).json
    user = Caller(admin.url, minted["secret"])
    thread_id = user.thread(metadata={"source": "widget"})
    script = 'quote [[text="line one\n \\"quoted\\" und schön ✓"]]'
    body = {"model": MODEL, "max_tokens": 1024, "content": script, "stream": True, "tools_mode": "tenant"}
    with user.open("POST", f"/v1/threads/{thread_id}/messages", body) as stream:
        raw = stream.response.read().decode()
    pieces = re.findall(r'"delta":\{"type":"text_delta","text":"((?:[^"\\]|\\.)*)"', raw)
    said = "".join(piece.replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\") for piece in pieces)
    assert said == admin.messages(thread_id)["data"][1]["content"][0]["text"]
    assert "schön ✓" in said
    assert admin.call("PATCH", f"/v1/keys/{minted['id']}", {"max_spend_usd": 11}).json["max_spend_usd"] == 11


def test_one_admin_key_for_many_end_users(admin: Caller, database: None) -> None:
    system = [{"type": "text", "text": "Knowledge base …", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "Be brief."}]
    for number in range(2):
        thread_id = admin.thread(end_user_id=f"anon_{number}")
        with admin.stream(thread_id, "help [[tokens=3]]", system=system, tools_mode="tenant", max_tokens=1024) as stream:
            assert text_of(list(stream)) == "w0 w1 w2 "
    assert Turn.objects.filter(thread_id=thread_id).get().options["system"] == system
    rows = admin.messages(thread_id, order="asc", limit=100)["data"]
    assert [(row["role"], row["end_user_id"]) for row in rows] == [("user", "anon_1"), ("assistant", "anon_1")]


def test_the_desktop_client(admin: Caller) -> None:
    thread_id = admin.thread(title="New chat", workspace_id=None, kind="chat", default_mode="agent", default_model=MODEL)
    assert admin.get("/v1/threads?limit=200").json["data"][0]["id"] == thread_id
    body: Any = {"tools_mode": "dynamic", "client_tools": [], "qlaud_runtime": {"plan_mode": False}, "max_tokens": 4096}
    with admin.stream(thread_id, [{"type": "text", "text": "go [[tokens=3]]"}], **body) as stream:
        assert list(stream)[-1].name == "qlaud.done"
    for limit in (15, 50):
        page = admin.messages(thread_id, order="desc", limit=limit)
        assert [row["role"] for row in page["data"]] == ["assistant", "user"]
    assert admin.call("PATCH", f"/v1/threads/{thread_id}", {"title": "Going"}).json["title"] == "Going"
    assert admin.call("DELETE", f"/v1/threads/{thread_id}").json["deleted"] is True
    assert admin.call("DELETE", f"/v1/threads/{thread_id}").status == 404


def test_the_live_feed_of_a_thread(admin: Caller) -> None:
    thread_id = admin.thread(title="Feed")
    admin.send(thread_id, "first [[tokens=2]]")
    with admin.open("GET", f"/v1/threads/{thread_id}/events", Last_Event_ID="1") as feed:
        events = iter(feed)
        snapshot, second = next(events), next(events)
        assert (snapshot.name, snapshot.id, snapshot.data["title"]) == ("thread", "thread:1", "Feed")
        assert (second.name, second.id, second.data["role"]) == ("message", "2", "assistant")
        admin.send(thread_id, "again [[tokens=2]]")
        rows = []
        for event in events:
            rows += [event] if event.name == "message" else []
            if len(rows) == 2:
                break
        assert [(row.id, row.data["seq"], row.data["status"]) for row in rows] == [("3", 3, "complete"), ("4", 4, "complete")]
        admin.call("DELETE", f"/v1/threads/{thread_id}")
        assert [event.name for event in events][-1] == "deleted"
    assert admin.open("GET", f"/v1/threads/{thread_id}/events").status == 404
    for start in ("", "x", "-1"):
        other = admin.thread()
        admin.send(other, "[[tokens=2]]")
        with admin.open("GET", f"/v1/threads/{other}/events", Last_Event_ID=start) as feed:
            seen = [event.id for _, event in zip(range(3), feed, strict=False)]
        assert seen == ["thread:1", "1", "2"]


def test_the_official_parser_reads_a_stream(admin: Caller) -> None:
    thread_id = admin.thread()
    client = Anthropic(base_url=admin.url, api_key=admin.key, max_retries=0)
    for script, kinds in (("[[tokens=20 delay=2]]", ["text"]), ("[[tokens=5 reasoning=6]]", ["thinking", "text"])):
        raw = client.post(
            f"/v1/threads/{thread_id}/messages",
            body={"model": MODEL, "max_tokens": 100, "content": script, "stream": True},
            cast_to=Message,
            stream=True,
            stream_cls=Stream[RawMessageStreamEvent],
        )
        with MessageStream(raw, output_format=NOT_GIVEN) as stream:
            message = stream.get_final_message()
        stored = admin.messages(thread_id)["data"][-1]
        assert [block.type for block in message.content] == kinds
        assert [block.to_dict() for block in message.content if block.type == "text"] == stored["content"][-1:]
        assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", stored["usage"]["output_tokens"])


def test_parallel_runs_on_one_thread_do_not_lock_each_other(admin: Caller, caller: Callable[..., Caller]) -> None:
    thread_id = admin.thread()
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda number: admin.send(thread_id, f"{number} [[tokens=3]]"), range(6)))
    assert sorted(reply.json["qlaud"]["seq"] for reply in replies) == [2, 4, 6, 8, 10, 12]
