"""A second message while the first is answered, and providers that fail."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from accounts.models import ApiKey
from tests.api.client import MODEL, Caller, text_of
from tests.running import put_to_sleep
from tests.stack import Stack, until
from threads.models import Message, Turn

SLOW = "[[tokens=60 delay=20]]"
OPENAI = "gpt-5-4-mini"


@pytest.fixture
def nobody_answers(stack: Stack) -> Iterator[None]:
    """What is sent waits, until the test is over."""
    put_to_sleep(stack)
    yield
    stack.tell("replies", signal.SIGCONT)


def test_a_second_send_waits_its_turn_and_says_so(admin: Caller) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, SLOW) as first:
        opening = next(iter(first))
        with admin.stream(thread_id, "[[tokens=3]]") as second, admin.stream(thread_id, "[[tokens=4]]") as third:
            assert "x-qlaud-assistant-seq" not in second.headers
            for place, stream in ((1, second), (2, third)):
                queued = next(iter(stream))
                assert (queued.name, queued.id, queued.data["position"]) == ("qlaud.queued", None, place)
                assert queued.data["turn_id"] == stream.headers["x-qlaud-turn-id"]
            assert [row["role"] for row in admin.messages(thread_id)["data"]] == ["user"]
            assert opening.name == "message_start"
            answers = [text_of(list(stream)) for stream in (first, second, third)]
    assert [answer.count("w") for answer in answers] == [60, 3, 4]
    rows = admin.messages(thread_id)["data"]
    assert [(row["seq"], row["role"]) for row in rows] == [(seq, "user" if seq % 2 else "assistant") for seq in range(1, 7)]


def test_a_second_send_may_ask_to_be_refused_instead(admin: Caller) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, SLOW) as first:
        next(iter(first))
        refused = admin.send(thread_id, "now", on_busy="reject", key="later")
        assert (refused.status, refused.json["error"]["type"]) == (409, "conflict_error")
        list(first)
    until(lambda: len(admin.messages(thread_id)["data"]) == 2, 5, "the first is whole")
    assert admin.send(thread_id, "now [[tokens=2]]", on_busy="reject", key="later").status == 200
    assert len(admin.messages(thread_id)["data"]) == 4


def test_a_second_send_may_stop_the_first(admin: Caller) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, "[[tokens=500 delay=20]]") as first:
        for event in first:
            if event.name == "content_block_delta":
                break
        answer = admin.send(thread_id, "instead [[tokens=2]]", on_busy="interrupt")
        assert answer.json["content"][0]["text"] == "w0 w1 "
        assert list(first)[-1].data["incomplete"] is True
    rows = admin.messages(thread_id)["data"]
    assert [row["status"] for row in rows] == ["complete", "stopped", "complete", "complete"]
    assert rows[1]["content"][0]["text"].startswith("w0 ")


def test_a_place_in_the_line_is_told_again_when_it_changes(admin: Caller) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, "[[tokens=500 delay=20]]") as first:
        turn_id = first.headers["x-qlaud-turn-id"]
        with admin.stream(thread_id, SLOW) as second, admin.stream(thread_id, "no") as third, admin.stream(thread_id, "hi") as fourth:
            leaves = third.headers["x-qlaud-turn-id"]
            events = iter(fourth)
            assert next(events).data["position"] == 3
            assert admin.post(f"/v1/threads/{thread_id}/turns/{leaves}/stop").json["status"] == "stopped"
            assert next(events).data["position"] == 2
            admin.post(f"/v1/threads/{thread_id}/turns/{turn_id}/stop")
            moved = next(events)
            assert (moved.name, moved.id, moved.data["position"], moved.data["turn_id"]) == (
                *("qlaud.queued", None, 1),
                fourth.headers["x-qlaud-turn-id"],
            )
            assert next(events).name == "message_start"
            assert [event.name for event in third] == ["qlaud.queued", "qlaud.done"]
            assert next(iter(second)).data["position"] == 1
    assert [row["seq"] for row in admin.messages(thread_id)["data"]] == list(range(1, 7)), "the third was taken back"


def test_a_turn_is_stopped_by_its_route(admin: Caller) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, "[[tokens=500 delay=20]]") as stream:
        next(event for event in stream if event.name == "content_block_delta")  # before it is begun it is stopped at once
        turn_id = stream.headers["x-qlaud-turn-id"]
        path = f"/v1/threads/{thread_id}/turns/{turn_id}/stop"
        answer = admin.post(path).json
        assert answer.pop("status") in ("stopping", "stopped"), "it may be over before it is looked at for the answer"
        assert answer == {"id": turn_id, "object": "turn"}
        assert list(stream)[-1].data["incomplete"] is True
    assert admin.post(path).json["status"] == "stopped"


def test_a_turn_that_nobody_has_begun_is_stopped_too(admin: Caller, database: None, nobody_answers: None) -> None:
    thread_id = admin.thread()
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(admin.send, thread_id, "never mind", key="mine")
        until(lambda: Turn.objects.filter(thread_id=thread_id).exists(), 5, "it is admitted")
        turn = Turn.objects.get(thread_id=thread_id)
        path = f"/v1/threads/{thread_id}/turns/{turn.pk}/stop"
        for _ in range(2):
            assert admin.post(path).json == {"id": str(turn.pk), "object": "turn", "status": "stopped"}
        reply = sent.result(20)
    assert (reply.status, reply.json["content"], reply.json["qlaud"]["status"]) == (200, [], "stopped")
    assert admin.send(thread_id, "never mind", key="mine").body == reply.body
    rows = admin.messages(thread_id)["data"]
    assert [(row["seq"], row["role"], row["status"]) for row in rows] == [(1, "user", "complete"), (2, "assistant", "stopped")]
    (done,) = admin.events(thread_id, str(turn.pk))
    assert (done.name, done.id, done.data["seq"], done.data["incomplete"]) == ("qlaud.done", "0", 2, True)
    assert list(admin.events(thread_id, str(turn.pk), 0)) == []
    assert admin.events(thread_id, str(turn.pk), 1).status == 400


def test_a_message_may_take_the_place_of_one_that_nobody_has_begun(admin: Caller, stack: Stack, database: None) -> None:
    thread_id = admin.thread()
    put_to_sleep(stack)
    try:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(admin.send, thread_id, "first")
            until(lambda: Turn.objects.filter(thread_id=thread_id).exists(), 5, "it is admitted")
            second = pool.submit(admin.send, thread_id, "second [[tokens=2]]", on_busy="interrupt")
            assert first.result(20).json["qlaud"]["status"] == "stopped"
            stack.tell("replies", signal.SIGCONT)
            assert second.result(20).json["qlaud"]["seq"] == 4
    finally:
        stack.tell("replies", signal.SIGCONT)
    assert admin.send(thread_id, "[[tokens=2]]").json["qlaud"]["seq"] == 6


@pytest.mark.parametrize("model", [MODEL, OPENAI])
@pytest.mark.parametrize(
    ("script", "seconds"),
    [
        ("status=429 retry_after=40", 40),
        ("status=529 retry_after=40.2", 41),
        ("status=429 retry_after=2 retry_after_ms=30500", 31),
        ("status=429 retry_after=604800", 3600),
        ("status=503 retry_after='Fri, 01 Jan 2100 00:00:00 GMT'", 3600),
        ("status=429 retry_after=0", 1),
        ("status=529 retry_after=soon", 5),
        ("status=529 retry_after=inf", 5),
        ("status=429", 5),
    ],
)
def test_what_a_provider_asks_to_wait_is_passed_on(admin: Caller, database: None, model: str, script: str, seconds: int) -> None:
    thread_id = admin.thread()
    reply = admin.send(thread_id, f"[[{script}]]", model=model)
    assert reply.status in (429, 529)
    assert (reply.headers["retry-after"], reply.json["error"]["retry_after"]) == (str(seconds), seconds)
    turn = Turn.objects.get(thread_id=thread_id)
    failed = [event.data for event in admin.events(thread_id, str(turn.pk))][-2]
    assert failed["type"] == "qlaud.error"
    assert failed.get("retry_after") == (None if seconds == 5 else seconds)


@pytest.mark.parametrize(
    ("script", "status", "kind"),
    [
        ("status=429", 429, "rate_limit_error"),
        ("status=529 error=overloaded_error", 529, "overloaded_error"),
        ("status=503", 529, "overloaded_error"),
        ("status=500", 502, "api_error"),
        ("status=401 error=authentication_error", 502, "api_error"),
        ("status=400 error=invalid_request_error", 400, "invalid_request_error"),
        ("hang=headers", 502, "api_error"),
        ("cut=0", 502, "api_error"),
    ],
)
def test_a_provider_that_refuses_is_a_status_whether_streamed_or_not(admin: Caller, script: str, status: int, kind: str) -> None:
    thread_id = admin.thread()
    replies = [admin.send(thread_id, f"[[{script}]]", key="a")]
    if not script.startswith(("hang", "cut")):
        with admin.stream(thread_id, f"[[{script}]]", key="b") as stream:
            replies.append(type(replies[0])(stream.status, stream.headers, stream.response.read()))
        replies.append(admin.send(thread_id, f"[[{script}]]", key="a"))  # a repetition is the same answer
    for reply in replies:
        assert (reply.status, reply.json["error"]["type"]) == (status, kind)
        assert "scripted" not in reply.error
        assert reply.headers["x-request-id"]
        assert ("retry-after" in reply.headers) == (status in (429, 529))
        assert reply.headers["access-control-allow-origin"] == "*"


def test_an_answer_that_broke_off_is_no_answer_but_stays_in_the_history(admin: Caller) -> None:
    thread_id = admin.thread()
    assert admin.send(thread_id, "[[tokens=30 after=10 error_in_200 error=overloaded_error]]").status == 529
    rows = admin.messages(thread_id)["data"]
    assert (rows[1]["status"], rows[1]["content"][0]["text"].count("w")) == ("interrupted", 10)


def test_the_same_key_fifty_times_at_once_is_one_turn(admin: Caller, database: None) -> None:
    thread_id = admin.thread()
    with ThreadPoolExecutor(50) as pool:
        replies = list(pool.map(lambda _: admin.send(thread_id, "[[tokens=3]]", key="once"), range(50)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert Turn.objects.filter(thread_id=thread_id).count() == 1
    assert Message.objects.filter(thread_id=thread_id).count() == 2
    assert len({turn.cost_micros for turn in Turn.objects.filter(thread_id=thread_id)}) == 1


def test_a_key_repeated_after_a_lost_reply_is_one_turn(admin: Caller, stack: Stack, database: None) -> None:
    thread_id = admin.thread()
    before = stack.provider_stats()["requests"]
    for number in range(40):
        key = f"lost-{number}"
        lost = admin.stream(thread_id, f"{number} [[tokens=2]]", key=key) if number % 2 else None
        if lost:
            lost.close()
        replies = [admin.send(thread_id, f"{number} [[tokens=2]]", key=key) for _ in range(2)]
        assert replies[0].body == replies[1].body
    assert Turn.objects.filter(thread_id=thread_id).count() == 40
    assert Turn.objects.filter(thread_id=thread_id, status="done").count() == 40
    assert stack.provider_stats()["requests"] == before + 40


def test_a_key_belongs_to_its_thread(admin: Caller) -> None:
    answers = [admin.send(admin.thread(), "[[tokens=2]]", key="same").json["qlaud"] for _ in range(2)]
    assert answers[0]["turn_id"] != answers[1]["turn_id"]


def test_the_key_that_asked_pays(app: Caller, database: None) -> None:
    turn = Turn.objects.get(pk=app.send(app.thread(), "[[tokens=2]]", model=MODEL).json["qlaud"]["turn_id"])
    assert turn.key is not None
    assert turn.key == ApiKey.objects.get(prefix=f"{app.key[:13]}…{app.key[-4:]}")
    assert turn.cost_micros > 0
