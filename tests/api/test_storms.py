"""Many at once on one thread: tabs that drop out, senders that die, readers that page while others write.

`API_ROUNDS=200` (or any number) repeats what is repeated here a few times.
"""

import asyncio
import os
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction

from accounts.models import User
from chatai.lib import hints
from tests.api.client import MODEL, Caller, Event, text_of
from tests.stack import Stack, until
from threads import actions
from threads.models import Message, Thread, Turn

ROUNDS = int(os.environ.get("API_ROUNDS", "3"))
pytestmark = pytest.mark.slow


@pytest.fixture
def as_a_web_process(settings: Any) -> Iterator[None]:
    """Models as the stack has them, and a loop that sends hints, so that an admission does not wait for Redis."""
    settings.ANTHROPIC_API_KEYS = ["as the stack has them"]
    loop = asyncio.new_event_loop()
    running = threading.Thread(target=loop.run_forever)
    running.start()

    async def bind() -> None:
        hints.bind_loop()

    asyncio.run_coroutine_threadsafe(bind(), loop).result()
    yield
    loop.call_soon_threadsafe(loop.stop)
    running.join()
    loop.close()


def follow(caller: Caller, thread_id: str, key: str, dice: random.Random) -> str:
    """Send a message and read its answer to the end, dropping out at random and coming back; the text."""
    events: list[Event] = []
    while not (events and events[-1].name == "qlaud.done"):
        last = int(events[-1].id or 0) if events else None
        with caller.stream(thread_id, f"{key} [[tokens=6 delay=3]]", key=key, last=last) as stream:
            assert stream.status == 200
            for event in stream:
                if event.id is not None:
                    events.append(event)
                if dice.random() < 0.15:
                    break
    assert [event.id for event in events] == [str(index) for index in range(len(events))]
    return text_of(events)


def transcript(caller: Caller, thread_id: str, limit: int, order: str) -> list[tuple[int, str]]:
    """The whole history in pages of `limit`, oldest first."""
    rows: list[tuple[int, str]] = []
    query: dict[str, Any] = {"limit": limit, "order": order}
    while True:
        page = caller.messages(thread_id, **query)
        rows += [(row["seq"], row["content"][0]["text"]) for row in page["data"]]
        if not page["has_more"]:
            return sorted(rows)
        query["cursor"] = page["next_after_seq" if order == "asc" else "next_before_seq"]


@pytest.mark.timeout(3600)
def test_twenty_tabs_that_drop_at_random_read_the_same(admin: Caller) -> None:
    def storm(number: int) -> int:
        dice = random.Random(number)
        thread_id = admin.thread()
        keys = [f"tab-{tab}" for tab in range(20)]
        with ThreadPoolExecutor(20) as tabs:
            said = dict(zip(keys, tabs.map(lambda key: follow(admin, thread_id, key, random.Random(f"{number} {key}")), keys), strict=True))
            views = [
                tabs.submit(transcript, admin, thread_id, dice.choice((3, 7, 50, 200)), dice.choice(("asc", "desc"))) for _ in range(20)
            ]
            seen = [view.result() for view in views]
        rows = admin.messages(thread_id, limit=200)["data"]
        assert [row["seq"] for row in rows] == list(range(1, 41))
        assert {row["request_id"]: row["content"][0]["text"] for row in rows if row["role"] == "assistant"} == said
        assert all(view == [(row["seq"], row["content"][0]["text"]) for row in rows] for view in seen)
        return 1

    with ThreadPoolExecutor(3) as storms:
        identical = sum(storms.map(storm, range(ROUNDS)))
    print(f"{identical} of {ROUNDS} storms: identical transcripts")


@pytest.mark.timeout(3600)
def test_a_key_repeated_at_once_and_after_a_lost_reply_is_one_turn_each_time(admin: Caller, stack: Stack, database: None) -> None:
    rounds = ROUNDS * 5
    before = stack.provider_stats()["requests"]
    thread_ids = [admin.thread() for _ in range(rounds)]

    def repeat(thread_id: str) -> int:
        lost = admin.stream(thread_id, "[[tokens=2]]", key="once")
        lost.close()
        with ThreadPoolExecutor(10) as pool:
            replies = list(pool.map(lambda _: admin.send(thread_id, "[[tokens=2]]", key="once"), range(10)))
        assert len({reply.body for reply in replies}) == 1
        assert replies[0].status == 200
        cost: int = replies[0].json["qlaud"]["cost_micros"]
        return cost

    with ThreadPoolExecutor(4) as pool:
        costs = list(pool.map(repeat, thread_ids))
    turns = list(Turn.objects.filter(thread_id__in=thread_ids))
    assert Counter(str(turn.thread_id) for turn in turns) == dict.fromkeys(thread_ids, 1)
    assert sum(turn.cost_micros for turn in turns) == sum(costs)
    assert sum(Thread.objects.filter(pk__in=thread_ids).values_list("cost_micros", flat=True)) == sum(costs)
    assert stack.provider_stats()["requests"] == before + rounds
    print(f"{rounds} rounds of 1 lost and 10 parallel sends: {len(turns)} turns")


def test_sixty_four_senders_leave_no_gap(as_a_web_process: None, account: Callable[[str], User], database: None) -> None:
    """Straight at the action, each with a connection of its own; some roll back, some are cut off by the database, and ask again."""
    user = account("sender")
    thread = actions.create_thread(user)
    dice, lock = random.Random(1), threading.Lock()
    outcomes: Counter[str] = Counter()
    at_once = threading.BoundedSemaphore(16)  # connections; the others wait their turn, as behind a pool

    def send(sender: int) -> list[str]:
        kept = []
        with at_once:
            for number in range(4):
                key = f"{sender}-{number}"
                with lock:
                    fate = dice.choices(("sent", "rolled back", "killed"), (8, 1, 1))[0]
                outcomes[fate] += 1
                try:
                    with transaction.atomic():
                        if fate == "killed":
                            admit(user, thread.pk, key)
                            kill_own_connection()
                        admit(user, thread.pk, key)
                        if fate == "rolled back":
                            raise InterruptedError
                except InterruptedError:
                    continue
                except (OperationalError, InterfaceError):
                    connection.close()
                    admit(user, thread.pk, key)
                kept.append(key)
            connection.close()
        return kept

    begun = time.perf_counter()
    with ThreadPoolExecutor(64) as senders:
        sent = [key for keys in senders.map(send, range(64)) for key in keys]
    taken = time.perf_counter() - begun
    until(lambda: not Turn.objects.filter(thread=thread, finished_at=None).exists(), 100, "all are answered")
    turns = list(Turn.objects.filter(thread=thread).order_by("number"))
    assert sorted(turn.request_id for turn in turns) == sorted(sent)
    assert [turn.number for turn in turns] == list(range(1, len(sent) + 1))
    assert [turn.first_seq for turn in turns] == list(range(1, 2 * len(sent), 2))
    seqs = list(Message.objects.filter(thread=thread).order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, 2 * len(sent) + 1))
    print(f"{len(sent)} admissions in {taken:.2f} s: {len(sent) / taken:.0f} a second on one thread; {dict(outcomes)}")


def admit(user: User, thread_id: UUID, key: str) -> None:
    actions.admit_turn(user, thread_id, content="[[tokens=1]]", model=MODEL, request_id=key)


def kill_own_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def furnish(thread_id: str, messages: int) -> None:
    """Rows of a long conversation, past: the first turn as the models make it, and copies of that by the database."""
    text = "A sentence of ordinary length, as people write them. " * 4
    turn = Turn.objects.create(thread_id=thread_id, number=1, request_id="1", request_digest=b"", model=MODEL, status="done", first_seq=1)
    for seq, role in enumerate(("user", "assistant"), 1):
        Message.objects.create(thread_id=thread_id, turn=turn, seq=seq, role=role, content=[{"type": "text", "text": f"1 {text}"}])
    last = messages // 2
    with connection.cursor() as cursor:
        copied = copying(Turn, id="gen_random_uuid()", number="n", request_id="gen_random_uuid()", first_seq="2 * n - 1")
        cursor.execute(f"{copied}, generate_series(2, %s) n WHERE o.thread_id = %s", [last, thread_id])
        content = f"""jsonb_build_array(jsonb_build_object('type', 'text', 'text', n.number || ' {text}'))"""
        copied = copying(Message, id="gen_random_uuid()", turn_id="n.id", seq="n.first_seq + o.seq - 1", content=content)
        cursor.execute(f"{copied} JOIN threads_turn n USING (thread_id) WHERE o.thread_id = %s AND n.number > 1", [thread_id])
        assert Message.objects.filter(thread_id=thread_id).count() == messages
        cursor.execute("ANALYZE threads_message")
    Thread.objects.filter(pk=thread_id).update(turn_count=last, last_seq=messages)


def copying(model: type[Turn] | type[Message], **anew: str) -> str:
    """The head of a statement that inserts rows like `o`, with some columns anew."""
    columns = [str(field.column) for field in model._meta.concrete_fields]
    values = ", ".join(anew.get(column, f"o.{column}") for column in columns)
    return f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) SELECT {values} FROM {model._meta.db_table} o"


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_ten_thousand_messages_are_each_seen_once_while_others_write(admin: Caller, database: None, order: str) -> None:
    thread_id = admin.thread()
    furnish(thread_id, 10_000)
    writing = threading.Event()
    writing.set()

    def write() -> None:
        while writing.is_set():
            assert admin.send(thread_id, "[[tokens=1]]").status == 200

    times: list[float] = []
    seen: list[int] = []
    with ThreadPoolExecutor(2) as writers:
        for _ in range(2):
            writers.submit(write)
        try:
            query = f"limit=30&order={order}"
            while True:
                begun = time.perf_counter()
                page = admin.get(f"/v1/threads/{thread_id}/messages?{query}").json
                times.append((time.perf_counter() - begun) * 1000)
                seen += [row["seq"] for row in page["data"]]
                assert len(page["data"]) <= 30
                if not page["has_more"]:
                    break
                query = f"limit=30&order={order}&cursor={page['next_after_seq' if order == 'asc' else 'next_before_seq']}"
        finally:
            writing.clear()
    assert seen == sorted(seen, reverse=order == "desc")
    assert len(seen) == len(set(seen))
    assert set(range(1, 10_001)) <= set(seen)
    quantiles = statistics.quantiles(times, n=20)
    print(f"{order}: {len(times)} pages of 30, p50 {quantiles[9]:.1f} ms, p95 {quantiles[18]:.1f} ms from the outside")


def test_a_long_thread_costs_what_a_short_one_costs(admin: Caller, database: None) -> None:
    medians: dict[int, float] = {}
    sizes: dict[int, int] = {}
    for messages in (6, 6000, 6, 6000):
        thread_id = admin.thread()
        furnish(thread_id, messages)
        times = []
        for _ in range(30):
            begun = time.perf_counter()
            reply = admin.get(f"/v1/threads/{thread_id}/messages?limit=6&order=desc")
            times.append((time.perf_counter() - begun) * 1000)
        medians[messages], sizes[messages] = statistics.median(times), len(reply.body)
    print(f"page of 6 out of 6 and of 6000: {medians} ms, {sizes} bytes")
    assert sizes[6000] < sizes[6] * 1.2
