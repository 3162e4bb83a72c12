"""The contract's checklist (its section 25), point by point, as far as its doors exist."""

import json
import time
from collections.abc import Callable
from uuid import UUID, uuid4

from accounts.models import User
from tests.api.client import MODEL, Caller, text_of
from tests.stack import until
from threads.models import Message, Thread, Turn


def test_1_both_ways_of_sending_the_key_are_equal_and_two_different_keys_are_none(caller: Callable[..., Caller], admin: Caller) -> None:
    nobody = Caller(admin.url)
    for headers in ({"authorization": f"Bearer {admin.key}"}, {"x_api_key": admin.key}, {"authorization": f"bearer  {admin.key}"}):
        assert nobody.get("/v1/threads", **headers).status == 200
    both = {"authorization": f"Bearer {admin.key}", "x_api_key": admin.key}
    assert nobody.get("/v1/threads", **both).status == 200
    for headers in ({}, {"x_api_key": "qlk_live_" + "0" * 64}, {"authorization": "Basic abc"}, both | {"x_api_key": caller().key}):
        refused = nobody.get("/v1/threads", **headers)
        assert (refused.status, refused.json["error"]["type"]) == (401, "authentication_error")
        assert refused.error


def test_2_making_answers_201_and_everything_else_200_with_json(admin: Caller) -> None:
    minted = admin.post("/v1/keys", {"name": "user_42"})
    made = admin.post("/v1/threads", {})
    assert (minted.status, made.status) == (201, 201)
    replies = [
        admin.get("/v1/keys"),
        admin.get("/v1/threads"),
        admin.get(f"/v1/threads/{made.json['id']}"),
        admin.call("PATCH", f"/v1/threads/{made.json['id']}", {"title": "x"}),
        admin.call("DELETE", f"/v1/threads/{made.json['id']}"),
        admin.call("DELETE", f"/v1/keys/{minted.json['id']}"),
        admin.call("DELETE", "/v1/threads/empty"),
        admin.call("DELETE", "/v1/end-users/nobody"),
    ]
    assert [reply.status for reply in replies] == [200] * len(replies)
    assert all(reply.headers["content-type"].startswith("application/json") and isinstance(reply.json, dict) for reply in replies)


def test_3_lists_have_their_envelopes(admin: Caller) -> None:
    thread_id = admin.thread()
    assert list(admin.get("/v1/keys").json) == ["keys"]
    for path in ("/v1/threads", f"/v1/threads/{thread_id}/messages", "/v1/models"):
        listed = admin.get(path).json
        assert listed["object"] == "list"
        assert isinstance(listed["data"], list)


def test_4_a_key_is_minted_with_a_cap_or_without_and_the_cap_can_be_changed(admin: Caller) -> None:
    minted = admin.post("/v1/keys", {"name": "user_<42>_a@b.c:" + "x" * 300, "scope": "standard", "max_spend_usd": None}).json
    assert minted["secret"].startswith("qlk_live_")
    assert len(minted["secret"]) == len("qlk_live_") + 64
    assert minted["prefix"] == f"{minted['secret'][:13]}…{minted['secret'][-4:]}"
    assert (minted["scope"], minted["max_spend_usd"]) == ("standard", None)
    raised = admin.call("PATCH", f"/v1/keys/{minted['id']}", {"max_spend_usd": 12.5})
    assert (raised.status, raised.json["max_spend_usd"]) == (200, 12.5)
    for cap in (2.25, 0, None):
        assert admin.call("PATCH", f"/v1/keys/{minted['id']}", {"max_spend_usd": cap}).json["max_spend_usd"] == cap
    row = next(row for row in admin.get("/v1/keys").json["keys"] if row["id"] == minted["id"])
    assert set(row) == {"id", "name", "prefix", "scope", "max_spend_usd", "created_at", "last_used_at", "revoked"}
    assert admin.post("/v1/keys", {"name": "boss", "scope": "master"}).json["scope"] == "admin"
    for wrong in ({"max_spend_usd": -1}, {"max_spend_usd": "a lot"}, {}):
        assert "max_spend_usd" in admin.call("PATCH", f"/v1/keys/{minted['id']}", wrong).error


def test_5_a_revoked_key_is_refused_from_the_next_request_on(admin: Caller) -> None:
    minted = admin.post("/v1/keys", {"name": "short"}).json
    holder = Caller(admin.url, minted["secret"])
    assert holder.get("/v1/threads").status == 200
    assert admin.call("DELETE", f"/v1/keys/{minted['id']}").json == {"ok": True}
    assert holder.get("/v1/threads").status == 401
    assert admin.call("DELETE", f"/v1/keys/{minted['id']}").json == {"ok": True}
    assert admin.call("DELETE", f"/v1/keys/{uuid4()}").status == 404
    assert [row["revoked"] for row in admin.get("/v1/keys").json["keys"] if row["id"] == minted["id"]] == [True]


def test_a_mint_repeated_after_a_lost_reply_is_the_same_key(admin: Caller) -> None:
    first, again = (admin.post("/v1/keys", {"name": "once", "max_spend_usd": 1}, Idempotency_Key="mint-1") for _ in range(2))
    assert (first.status, again.status) == (201, 201)
    assert first.json["secret"] == again.json["secret"]
    other = admin.post("/v1/keys", {"name": "other", "max_spend_usd": 1}, Idempotency_Key="mint-1")
    assert (other.status, other.json["error"]["type"]) == (422, "idempotency_error")
    assert sum(row["name"] == "once" for row in admin.get("/v1/keys").json["keys"]) == 1


def test_6_content_and_system_are_a_string_or_blocks_and_markers_reach_the_provider(admin: Caller, database: None) -> None:
    marked = {"type": "text", "text": "Be [[tokens=2]] kind.", "cache_control": {"type": "ephemeral"}}
    thread_id = admin.thread()
    assert admin.send(thread_id, "plain [[tokens=2]]", system="Be kind.").status == 200
    assert admin.send(thread_id, [{"type": "text", "text": "blocks [[tokens=2]]"}], system=[marked]).status == 200
    rows = admin.messages(thread_id)["data"]
    assert [row["content"][0]["text"] for row in rows[::2]] == ["plain [[tokens=2]]", "blocks [[tokens=2]]"]
    assert Turn.objects.filter(thread_id=thread_id).latest("number").options["system"] == [marked]


def test_7_tools_that_are_not_there_are_refused_and_no_tools_are_none(admin: Caller) -> None:
    thread_id = admin.thread()
    assert admin.send(thread_id, "a [[tokens=2]]", tools=[]).status == 200
    assert admin.send(thread_id, "b [[tokens=2]]", tools_mode="explicit").status == 200
    unknown = admin.send(thread_id, "c", tools=["tool_" + "0" * 32])
    assert (unknown.status, "tool_0" in unknown.error) == (400, True)
    assert admin.send(thread_id, "d", tools=[], tools_mode="tenant").status == 400


def test_8_a_stream_is_compact_raw_and_whole_events(admin: Caller) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, 'say [[text="héllo 漢字 \U0001f600 <b> done"]]') as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-cache, no-transform"
        assert stream.headers["x-qlaud-thread-id"] == thread_id
        assert UUID(stream.headers["x-qlaud-turn-id"])
        assert stream.headers["x-qlaud-resolved-model"] == MODEL
        assert stream.headers["x-qlaud-assistant-seq"] == "2"
        events = list(stream)
    assert [event.id for event in events] == [str(index) for index in range(len(events))]
    for event in events:
        assert event.name == event.data["type"]
        assert event.raw.startswith(f'{{"type":"{event.name}"')
        assert event.raw == json.dumps(event.data, ensure_ascii=False, separators=(",", ":"))
        if event.name == "content_block_delta":
            assert '"delta":{"type":"text_delta","text":"' in event.raw
    assert text_of(events) == "héllo 漢字 \U0001f600 <b> done"
    names = [event.name for event in events if event.name != "content_block_delta"]
    bracket = ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"]
    assert names == [*bracket, "qlaud.done"]


def test_9_done_is_last_and_says_what_it_cost(admin: Caller) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, "[[tokens=30]]") as stream:
        done = list(stream)[-1].data
    assert done == {
        "type": "qlaud.done",
        "iterations": 1,
        "hit_max_iterations": False,
        "cost_micros": done["cost_micros"],
        "seq": 2,
        "thread_id": thread_id,
    }
    assert done["cost_micros"] > 0
    assert admin.messages(thread_id)["data"][1]["cost_micros"] == done["cost_micros"]


def test_9_a_failure_after_the_first_event_is_an_error_and_done(admin: Caller) -> None:
    with admin.stream(admin.thread(), "[[tokens=30 after=5 error_in_200 error=overloaded_error]]") as stream:
        events = list(stream)
    error, done = events[-2:]
    assert (error.name, bool(error.data["message"])) == ("qlaud.error", True)
    assert (done.name, done.data["incomplete"]) == ("qlaud.done", True)
    assert text_of(events).startswith("w0 w1")


def test_11_messages_are_paged_both_ways_with_exact_ends(admin: Caller) -> None:
    thread_id = admin.thread()
    for number in range(4):
        assert admin.send(thread_id, f"{number} [[tokens=2]]").status == 200

    def listed(**query: object) -> tuple[list[int], bool, int | None, int | None]:
        page = admin.messages(thread_id, **query)
        assert page["compaction"] is None
        return [row["seq"] for row in page["data"]], page["has_more"], page["next_after_seq"], page["next_before_seq"]

    everything = [*range(1, 9)]
    assert listed() == (everything, False, None, None)
    assert listed(order="desc") == (everything[::-1], False, None, None)
    assert listed(limit=3) == ([1, 2, 3], True, 3, None)
    assert listed(limit=3, after_seq=3) == ([4, 5, 6], True, 6, 4)
    assert listed(limit=3, cursor=6) == ([7, 8], False, None, 7)
    assert listed(limit=3, order="desc") == ([8, 7, 6], True, None, 6)
    assert listed(limit=3, order="desc", before_seq=6) == ([5, 4, 3], True, 5, 3)
    assert listed(limit=3, order="desc", cursor=3) == ([2, 1], False, 2, None)
    assert listed(after_seq=8) == ([], False, None, None)
    assert listed(order="desc", before_seq=9007199254740991, limit=1) == ([8], True, None, 8)
    assert listed(after_seq=2, before_seq=5) == ([3, 4], False, None, 3)
    for wrong in ("limit=0", "limit=201", "limit=x", "limit=1.0", "limit=%2B5", "order=up", "after_seq=-1", "before_seq=", "cursor=1_0"):
        refused = admin.get(f"/v1/threads/{thread_id}/messages?{wrong}")
        assert (refused.status, refused.error.split(":")[0]) == (400, wrong.split("=")[0])
    assert admin.get(f"/v1/threads/{thread_id}/messages?cursor=1&after_seq=1").status == 400


def test_12_a_caller_that_hangs_up_changes_nothing(admin: Caller) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, "[[tokens=40 delay=10]]") as stream:
        next(iter(stream))
    until(lambda: len(admin.messages(thread_id)["data"]) == 2, 10, "the answer is there")
    rows = admin.messages(thread_id)["data"]
    assert rows[1]["content"][0]["text"].split() == [f"w{number}" for number in range(40)]
    assert rows[1]["status"] == "complete"


def test_an_answer_is_listed_when_it_is_whole(admin: Caller) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, "[[tokens=20 delay=20]]", key="mine") as stream:
        next(iter(stream))
        assert [row["role"] for row in admin.messages(thread_id)["data"]] == ["user"]
        list(stream)
    rows = admin.messages(thread_id)["data"]
    assert [row["role"] for row in rows] == ["user", "assistant"]
    assert {row["request_id"] for row in rows} == {"mine"}
    assert set(rows[1]) >= {"seq", "role", "content", "request_id", "created_at", "status", "model", "stop_reason", "usage", "cost_micros"}
    assert set(rows[1]) >= {"end_user_id", "turn_id"}


def test_18_what_is_not_yours_is_not_there(admin: Caller, caller: Callable[..., Caller], account: Callable[[str], User]) -> None:
    thread_id, stranger = admin.thread(), caller(account("stranger"), scope="admin")
    foreign, missing = stranger.get(f"/v1/threads/{thread_id}"), stranger.get(f"/v1/threads/{uuid4()}")
    assert (foreign.status, foreign.json["error"]["type"]) == (404, "not_found_error")
    assert foreign.body == missing.body


def test_19_deleting_is_at_once_and_only_once(admin: Caller, database: None) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, "[[tokens=400 delay=20]]") as stream:
        next(iter(stream))
        deleted = admin.call("DELETE", f"/v1/threads/{thread_id}")
        assert deleted.json == {"id": thread_id, "object": "thread", "deleted": True}
        assert list(stream)[-1].name == "qlaud.done"
    assert admin.call("DELETE", f"/v1/threads/{thread_id}").status == 404
    assert admin.get(f"/v1/threads/{thread_id}/messages").status == 404
    assert thread_id not in [row["id"] for row in admin.get("/v1/threads").json["data"]]
    assert Thread.objects.get(pk=thread_id).deleted_at is not None


def test_21_bodies_are_json_whatever_their_label_and_max_tokens_has_a_default(admin: Caller, database: None) -> None:
    labels = ["application/x-www-form-urlencoded", "text/plain", "application/xml", "nonsense"]
    for label in labels:
        made = admin.post("/v1/threads", {"end_user_id": label}, content_type=label)
        assert (made.status, made.json["end_user_id"]) == (201, label)
    assert admin.post("/v1/threads").status == 201
    assert admin.post("/v1/threads", b"  ").status == 201
    answer = admin.send(made.json["id"], "[[tokens=2]]").json
    assert "max_tokens" not in Turn.objects.get(pk=answer["qlaud"]["turn_id"]).options


def test_an_answer_in_one_piece_has_the_shape_of_a_message(admin: Caller) -> None:
    thread_id = admin.thread()
    reply = admin.send(thread_id, "[[tokens=3]]", key="one", max_tokens=100)
    assert reply.json == {
        "id": reply.json["id"],
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": "w0 w1 w2 "}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": reply.json["usage"],
        "qlaud": {
            "thread_id": thread_id,
            "turn_id": reply.headers["x-qlaud-turn-id"],
            "seq": 2,
            "iterations": 1,
            "hit_max_iterations": False,
            "cost_micros": reply.json["qlaud"]["cost_micros"],
            "request_id": "one",
            "status": "done",
        },
    }
    assert reply.json["usage"]["output_tokens"] > 0


def test_threads_are_made_changed_and_found(admin: Caller) -> None:
    made = admin.post("/v1/threads", {"end_user_id": "user/42", "metadata": {"a": 1, "b": {"c": 2}}, "title": "First"}).json
    now = time.time() * 1000
    assert made | {"created_at": 0, "last_active_at": 0} == {
        "id": made["id"],
        "object": "thread",
        "end_user_id": "user/42",
        "metadata": {"a": 1, "b": {"c": 2}},
        "title": "First",
        "default_model": None,
        "created_at": 0,
        "last_active_at": 0,
    }
    assert abs(made["created_at"] - now) < 20_000
    changed = admin.call("PATCH", f"/v1/threads/{made['id']}", {"metadata": {"b": 3, "d": None}, "title": None}).json
    assert (changed["metadata"], changed["title"]) == ({"a": 1, "b": 3, "d": None}, None)
    others = [admin.thread() for _ in range(3)]
    assert [row["id"] for row in admin.get("/v1/threads?end_user_id=user/42").json["data"]] == [made["id"]]
    first = admin.get("/v1/threads?limit=2").json
    assert ([row["id"] for row in first["data"]], first["has_more"]) == ([others[2], others[1]], True)
    rest = admin.get(f"/v1/threads?limit=2&before={others[1]}").json
    assert ([row["id"] for row in rest["data"]], rest["has_more"]) == ([others[0], made["id"]], False)
    assert admin.call("DELETE", "/v1/end-users/user/42").json["threads"] == 1
    assert admin.get(f"/v1/threads/{made['id']}").status == 404


def test_threads_without_messages_are_swept_on_request(admin: Caller, database: None) -> None:
    old, fresh, used = admin.thread(), admin.thread(), admin.thread()
    assert admin.send(used, "[[tokens=2]]").status == 200
    Thread.objects.filter(pk__in=[old, used]).update(created_at="2026-01-01T00:00Z")
    assert admin.call("DELETE", "/v1/threads/empty").json == {"deleted": 1}
    assert {row["id"] for row in admin.get("/v1/threads").json["data"]} == {fresh, used}


def test_a_model_may_change_with_every_turn_and_an_unknown_one_is_not_found(admin: Caller) -> None:
    thread_id = admin.thread()
    assert admin.send(thread_id, "[[tokens=2]]", model=MODEL.upper()).json["model"] == MODEL
    assert admin.send(thread_id, "hello", model="demo").json["model"] == "demo"
    unknown = admin.send(thread_id, "hello", model="gpt-0")
    assert (unknown.status, "gpt-0" in unknown.error) == (404, True)


def test_the_history_is_what_the_next_turn_is_asked_with(admin: Caller, database: None) -> None:
    thread_id = admin.thread()
    answers = [admin.send(thread_id, f"{number} [[tokens=3]]").json for number in range(3)]
    assert [answer["usage"]["input_tokens"] for answer in answers] == sorted(answer["usage"]["input_tokens"] for answer in answers)
    assert answers[2]["usage"]["input_tokens"] > answers[0]["usage"]["input_tokens"] + 10
    assert Message.objects.filter(thread_id=thread_id).count() == 6
