"""A stream that was cut goes on where it stopped: the same bytes, no gap, no repeat, whenever and however often."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from tests.api.client import Caller, Event, Stream, text_of
from tests.stack import until
from threads.models import Turn, TurnEvent

TEXT = "[[tokens=200 delay=2 reasoning=5]]"
LONG = "[[tokens=200 delay=45]]"
SLOW = "[[tokens=150 delay=45]]"  # slower than the journal's tick: an event for each token
Again = Callable[[int | None], Stream]


def cut(open_again: Again, places: list[int]) -> list[Event]:
    """Read a stream that is cut after each of `places` events (counted over all), and goes on behind the last one seen."""
    events: list[Event] = []
    ends: list[int | None] = [*places, None]
    for place in ends:
        with open_again(int(events[-1].id or "") if events else None) as stream:
            assert stream.status == 200, stream.response.read()
            for event in stream:
                events.append(event)
                if place is not None and len(events) >= place:
                    break
    return events


def assert_whole(events: list[Event], journal: list[str]) -> None:
    """Byte for byte what the journal has, each index once."""
    assert [event.raw for event in events] == journal
    assert [event.id for event in events] == [str(index) for index in range(len(journal))]


@pytest.fixture
def answered(admin: Caller, database: None) -> tuple[str, Turn, list[str]]:
    """A thread, its finished turn of 200 tokens, and the payloads of its journal: nearly one for each token."""
    thread_id = admin.thread()
    reply = admin.send(thread_id, TEXT, key="mine")
    turn = Turn.objects.get(pk=reply.json["qlaud"]["turn_id"])
    return thread_id, turn, payloads(turn)


def payloads(turn: Turn) -> list[str]:
    journal = TurnEvent.objects.filter(ring=turn.ring or 0, turn_id=turn.pk).order_by("index")
    return list(journal.values_list("payload", flat=True))


def ways(admin: Caller, thread_id: str, turn: Turn) -> Iterator[Again]:
    """The events route, and the same POST with the same key."""
    while True:
        yield lambda last: admin.events(thread_id, str(turn.pk), last)
        yield lambda last: admin.stream(thread_id, TEXT, key="mine", last=last)


@pytest.mark.slow
def test_cut_at_every_index_one_to_three_times(admin: Caller, database: None) -> None:
    """The places of the second and third cut are chosen by a fixed seed; both ways take turns."""
    thread_id = admin.thread()
    turn = Turn.objects.get(pk=admin.send(thread_id, LONG, key="mine").json["qlaud"]["turn_id"])
    journal = payloads(turn)
    assert len(journal) > 180
    both = (lambda last: admin.events(thread_id, str(turn.pk), last), lambda last: admin.stream(thread_id, LONG, key="mine", last=last))

    def run(number: int) -> None:
        place, times = number // 3 + 1, number % 3 + 1
        dice = random.Random(number)
        places = sorted({place, *(dice.randrange(1, len(journal)) for _ in range(times - 1))})
        assert_whole(cut(both[number // 3 % 2], places), journal)

    with ThreadPoolExecutor(4) as readers:
        runs = len(list(readers.map(run, range(3 * len(journal)))))
    print(f"{runs} of {runs} byte-identical")


def test_cut_while_it_is_written(admin: Caller, database: None) -> None:
    """Sixteen answers at a time, each cut three times at places of its own."""
    threads = [admin.thread() for _ in range(16)]

    def follow(number: int) -> list[Event]:
        dice = random.Random(number)
        key = f"live-{number}"
        places = sorted({1 + number * 9, dice.randrange(1, 140), dice.randrange(1, 140)})
        return cut(lambda last: admin.stream(threads[number], SLOW, key=key, last=last), places)

    with ThreadPoolExecutor(len(threads)) as pool:
        for number, events in enumerate(pool.map(follow, range(len(threads)))):
            assert_whole(events, payloads(Turn.objects.get(thread_id=threads[number])))
            assert text_of(events) == "".join(f"w{index} " for index in range(150))


def test_an_emptied_journal_is_told_again_with_the_same_indexes(admin: Caller, answered: tuple[str, Turn, list[str]]) -> None:
    thread_id, turn, journal = answered
    spoken = cut(lambda last: admin.events(thread_id, str(turn.pk), last), [])
    TurnEvent.objects.filter(ring=turn.ring or 0, turn_id=turn.pk).delete()
    for place, way in zip(range(1, len(journal) + 1), ways(admin, thread_id, turn), strict=False):
        with way(place - 1) as stream:
            rest = list(stream)
        assert [event.id for event in rest] == [str(index) for index in range(place, len(journal))]
        assert text_of(spoken[:place]) + text_of(rest) == text_of(spoken)
        assert [event.name for event in rest] == [event.name for event in spoken[place:]]
    told = cut(lambda last: admin.events(thread_id, str(turn.pk), last), [])
    deltas = [event.raw for event in told if event.name == "content_block_delta"]
    assert deltas == [event.raw for event in spoken if event.name == "content_block_delta"]
    assert admin.events(thread_id, str(turn.pk), len(journal)).status == 400


@pytest.mark.parametrize("emptied", [False, True])
def test_an_answer_that_failed_half_way_is_told_again_too(admin: Caller, database: None, emptied: bool) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, "[[tokens=30 after=20 error_in_200 error=overloaded_error]]", key="mine") as stream:
        spoken, turn_id = list(stream), stream.headers["x-qlaud-turn-id"]
    turn = Turn.objects.get(pk=turn_id)
    if emptied:
        TurnEvent.objects.filter(ring=turn.ring or 0, turn_id=turn.pk).delete()
    with admin.events(thread_id, turn_id, 3) as stream:
        rest = list(stream)
    assert [event.name for event in rest] == [event.name for event in spoken[4:]]
    assert text_of(spoken[:4]) + text_of(rest) == text_of(spoken)
    assert rest[-2].data["message"] == spoken[-2].data["message"]


def test_an_index_that_is_none_is_refused(admin: Caller, answered: tuple[str, Turn, list[str]]) -> None:
    thread_id, turn, journal = answered
    for wrong in ("-1", "x", "1.5", "", " ", "+1", "1e3", str(len(journal)), "9" * 30):
        path = f"/v1/threads/{thread_id}/turns/{turn.pk}/events"
        assert admin.get(path, Last_Event_ID=wrong).status == 400
        if wrong.strip() == wrong:
            assert admin.get(f"{path}?after={wrong.replace('+', '%2B')}").status == 400
        body = {"model": turn.model, "content": TEXT, "stream": True}
        assert admin.post(f"/v1/threads/{thread_id}/messages", body, Idempotency_Key="mine", Last_Event_ID=wrong).status == 400
    with admin.events(thread_id, str(turn.pk), len(journal) - 1) as stream:
        assert (stream.status, list(stream)) == (200, [])
    assert admin.get(f"{path}?after={len(journal) - 2}").body.count(b"event: ") == 1


def test_an_index_that_is_not_written_yet_is_refused(admin: Caller) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, "[[tokens=50 delay=30]]") as stream:
        next(iter(stream))
        turn_id = stream.headers["x-qlaud-turn-id"]
        assert admin.events(thread_id, turn_id, 5000).status == 400
        admin.post(f"/v1/threads/{thread_id}/turns/{turn_id}/stop")
        assert list(stream)[-1].data["incomplete"] is True


def test_many_readers_of_one_turn_see_the_same(admin: Caller, database: None) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, "[[tokens=60 delay=10]]") as first:
        turn_id = first.headers["x-qlaud-turn-id"]
        others = [admin.events(thread_id, turn_id) for _ in range(8)]
        spoken = [event.raw for event in first]
    for other in others:
        with other:
            assert [event.raw for event in other] == spoken


def test_a_turn_that_was_taken_back_or_deleted_ends_its_readers(admin: Caller, database: None) -> None:
    thread_id = admin.thread()
    with admin.stream(thread_id, "[[tokens=300 delay=20]]") as running, admin.stream(thread_id, "queued") as waiting:
        next(iter(running))
        queued = next(iter(waiting))
        assert (queued.name, queued.id, queued.data["position"]) == ("qlaud.queued", None, 1)
        stopped = admin.post(f"/v1/threads/{thread_id}/turns/{queued.data['turn_id']}/stop").json
        assert stopped["status"] == "stopped"
        assert [event.data for event in waiting][-1]["incomplete"] is True
        with admin.stream(thread_id, "another") as third:
            assert next(iter(third)).name == "qlaud.queued"
            admin.call("DELETE", f"/v1/threads/{thread_id}")
            assert [event.name for event in third] == ["qlaud.done"]
        assert list(running)[-1].name == "qlaud.done"


def test_a_whole_partition_of_the_journal_may_go(admin: Caller, answered: tuple[str, Turn, list[str]]) -> None:
    thread_id, turn, journal = answered
    until(lambda: not Turn.objects.filter(ring=turn.ring, finished_at=None).exists(), 10, "nothing else runs")
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE threads_turnevent_{turn.ring}")
    assert len(list(admin.events(thread_id, str(turn.pk)))) == len(journal)
