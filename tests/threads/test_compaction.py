"""Making room: a summary stands for what is old in what the model is sent, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from bench.provider import Seen, start
from chatai.lib import hints
from tests.running import World
from tests.stack import until
from tests.threads.dialogue import answer, ask, begin, finish, request_of, say, texts
from tests.threads.scripted import told
from threads import actions, compaction, load
from threads.blocks import text_of
from threads.compaction import HistoryRow, cutoff
from threads.models import CatalogModel, Compaction, Message, Thread, Turn
from threads.paging import page_of_turns
from threads.providers import catalog
from threads.providers.anthropic import AnthropicProvider
from threads.providers.base import ModelInfo, Provider, Request
from threads.refusals import Refused

LONG = "word " * 30
NOTES = "w0 w1 w2 w3"  # what the scripted provider writes


# --- where to cut -----------------------------------------------------------------------------------------------------------


def row(seq: int, role: str, *blocks: dict[str, Any], size: int = 100) -> HistoryRow:
    return HistoryRow(seq, role, list(blocks) or [{"type": "text", "text": "x" * size}])


def call(seq: int, name: str, size: int = 100) -> HistoryRow:
    return row(
        seq, "assistant", {"type": "thinking", "thinking": "x" * size, "signature": "s"}, {"type": "tool_use", "id": name, "input": {}}
    )


def result(seq: int, name: str, size: int = 100) -> HistoryRow:
    return row(seq, "user", {"type": "tool_result", "tool_use_id": name, "content": "x" * size})


def plain(count: int, size: int = 100) -> list[HistoryRow]:
    return [row(seq, "user" if seq % 2 else "assistant", size=size) for seq in range(1, count + 1)]


def test_what_fits_is_not_summarised() -> None:
    rows = plain(11)
    total = sum(one.size for one in rows)
    assert cutoff(rows, int(total / 0.8) + 1) is None
    assert cutoff(rows, int(total / 0.8) - 10) is not None


def test_the_cut_lies_before_a_question_and_leaves_about_a_third() -> None:
    rows = plain(41)
    room = sum(one.size for one in rows)
    cut = cutoff(rows, room)
    assert cut is not None
    assert next(one for one in rows if one.seq == cut + 1).role == "user"
    assert 0.2 * room < sum(one.size for one in rows if one.seq > cut) <= 0.3 * room


def test_the_newest_question_always_stays() -> None:
    assert cutoff([*plain(10), row(11, "user", size=100_000)], 500) == 10
    assert cutoff([row(1, "user", size=100_000)], 500) is None, "there is nothing before it"


@pytest.mark.parametrize("room", range(300, 3000, 25))
def test_a_tool_call_never_loses_its_result_nor_a_thought_its_answer(room: int) -> None:
    rows = [
        *(row(1, "user"), call(2, "a"), result(3, "a"), call(4, "b"), result(5, "b"), row(6, "assistant")),
        *(row(7, "user"), call(8, "c", 400), result(9, "c", 400), row(10, "assistant")),
        *(row(11, "user"), call(12, "d"), result(13, "d"), row(14, "assistant"), row(15, "user")),
    ]
    cut = cutoff(rows, room)
    if cut is None:
        assert sum(one.size for one in rows) <= room * 0.8
        return
    assert cut in (6, 10, 14), "between turns"
    kept = [block for one in rows if one.seq > cut for block in one.content]
    used = {block["id"] for block in kept if block["type"] == "tool_use"}
    assert used == {block["tool_use_id"] for block in kept if block["type"] == "tool_result"}


# --- what is sent -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(hints, "announce", lambda *_words: None)
    monkeypatch.setattr(load, "_looked_at", 0.0)
    catalog.forget()
    yield
    catalog.forget()


@pytest.fixture
def thread(owner: User, quiet: None) -> Thread:
    """Of a model with room for about 900 characters."""
    small = {"context_window": 400, "default_max_tokens": 100, "max_output_tokens": 200, "input_price": 1, "output_price": 2}
    CatalogModel.objects.create(slug="small", label="Small", provider="demo", upstream="small", **small)
    return actions.create_thread(owner, model="small")


class Vendor:
    """What the scripted provider was asked, by one turn and by the summary it needed."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    @property
    def summaries(self) -> list[Seen]:
        return [one for one in self.seen if compaction.SYSTEM in str(one.body.get("system"))]

    @property
    def sent(self) -> list[str]:
        """The texts of the turn's own call, which comes last."""
        return [block["text"] for message in self.seen[-1].body["messages"] for block in message["content"]]

    def run(self, turn: Turn, *, failing: bool = False) -> str:
        """Stream the answer of a running turn over HTTP; its text."""
        return asyncio.run(self._run(turn, failing))

    async def _run(self, turn: Turn, failing: bool) -> str:
        server = await start(tokens=4, status=500 if failing else 0)
        provider = AnthropicProvider(["sk-test"], server.base_url)

        async def task_model() -> tuple[ModelInfo, Provider]:
            info = await sync_to_async(catalog.model_info)("demo")
            assert info is not None
            return info, provider

        request = await request_of(turn.pk, task_model)
        said = "" if failing else "".join([text async for text in _texts(provider, request)])
        self.seen = list(server.requests)
        await provider.close()
        await server.close()
        return said


async def _texts(provider: Provider, request: Request) -> AsyncIterator[str]:
    async for event in told(provider, request):
        yield getattr(getattr(event, "delta", None), "text", "") or ""


def long_talk(owner: User, thread: Thread, turns: int = 4) -> Turn:
    """Turns that fill the window, and a running one behind them."""
    for number in range(1, turns + 1):
        answer(ask(owner, thread, f"q{number} {LONG}", model="small"), f"a{number}")
    return begin(ask(owner, thread, "now what", model="small"))


@pytest.mark.django_db(transaction=True)
def test_the_model_is_sent_the_summary_and_the_rest_and_it_is_made_once(owner: User, thread: Thread) -> None:
    turn, vendor = long_talk(owner, thread, 5), Vendor()
    assert vendor.run(turn).strip() == NOTES
    (asked,) = vendor.summaries
    assert "q1" in asked.text
    assert "now what" not in asked.text
    made = Compaction.objects.get(thread=thread)
    assert made.summary == NOTES
    assert made.cost_micros > 0
    thread.refresh_from_db()
    assert thread.cost_micros == made.cost_micros, "the answers of these tests cost nothing"
    kept = list(Message.objects.filter(thread=thread, seq__gt=made.through_seq, seq__lte=turn.first_seq).order_by("seq"))
    assert vendor.sent == [compaction.LEAD_IN + NOTES, *(text_of(message.content) for message in kept)]
    assert (len(kept), kept[0].role) == (3, "user")
    finish(turn, "so it is")
    again = begin(ask(owner, thread, "and now", model="small"))
    vendor.run(again)
    assert vendor.summaries == []
    assert vendor.sent[0] == compaction.LEAD_IN + NOTES
    assert vendor.sent[-3:] == ["now what", "so it is", "and now"]
    assert Compaction.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_later_summary_takes_the_earlier_one_in(owner: User, thread: Thread) -> None:
    turn, vendor = long_talk(owner, thread, 5), Vendor()
    vendor.run(turn)
    finish(turn, "so it is")
    later = long_talk(owner, thread, 4)
    vendor.run(later)
    (asked,) = vendor.summaries
    assert asked.text.startswith(NOTES)
    ends = list(Compaction.objects.order_by("through_seq").values_list("through_seq", flat=True))
    current = compaction.current(thread)
    assert current is not None
    assert (len(ends), current.through_seq) == (2, ends[1])


@pytest.mark.django_db(transaction=True)
def test_without_a_summary_the_newest_that_fits_is_sent(owner: User, thread: Thread) -> None:
    turn, vendor = long_talk(owner, thread, 6), Vendor()
    vendor.run(turn, failing=True)
    assert not Compaction.objects.exists()
    sent = asyncio.run(request_of(turn.pk)).messages
    assert texts(sent)[-1] == "now what"
    assert 1 < len(sent) < 13
    assert sent[0]["role"] == "user"


@pytest.mark.django_db(transaction=True)
def test_undoing_sends_the_messages_again_and_summarises_no_more(owner: User, thread: Thread) -> None:
    turn, vendor = long_talk(owner, thread, 5), Vendor()
    vendor.run(turn)
    made = Compaction.objects.get(thread=thread)
    assert compaction.undo(owner, made.pk) == thread.pk
    assert compaction.current(thread) is None
    vendor.run(turn)
    assert vendor.summaries == []
    assert not any(compaction.LEAD_IN in text for text in vendor.sent)
    assert len(vendor.sent) > 3, "as many as fit"
    undone_at = Compaction.objects.get(pk=made.pk).undone_at
    compaction.undo(owner, made.pk)
    assert Compaction.objects.get(pk=made.pk).undone_at == undone_at


@pytest.mark.django_db(transaction=True)
def test_people_and_listings_keep_everything(owner: User, thread: Thread) -> None:
    turn, vendor = long_talk(owner, thread, 5), Vendor()
    vendor.run(turn)
    finish(turn, "so it is")
    rows = Message.objects.for_user(owner).filter(thread=thread).path(None, None)
    assert rows.count() == 12
    page = page_of_turns(owner, thread)
    assert len(page.views) == 6
    made = Compaction.objects.get(thread=thread)
    (marked,) = [view for view in page.views if view.marker]
    assert marked.rows[-1].seq == made.through_seq
    assert marked.marker is not None
    assert NOTES in marked.marker.html


# --- on the page ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def summarised(owner: User, thread: Thread) -> Compaction:
    for number in range(1, 5):
        say(owner, thread, f"q{number}", f"a{number}")
    return Compaction.objects.create(thread=thread, through_seq=4, summary="Notes with <script>alert(1)</script>", model="demo")


@pytest.mark.django_db
def test_the_marker_stands_behind_what_it_covers_and_can_be_undone(owner: User, summarised: Compaction, client_of: Any) -> None:
    client: Client = client_of(owner)
    address = f"/c/{summarised.thread_id}"
    html = client.get(address).content.decode()
    covered, following = html.split("Older messages are summarised for the model")
    assert "a2" in covered.split("</article>")[-2]
    assert "q3" in following
    assert "<script>alert" not in html
    undo = f"/c/summaries/{summarised.pk}/undo"
    assert undo in html
    assert client.get(undo).status_code == 405
    assert client.post(undo, headers={"X-Requested-With": "fetch"}).status_code == 204
    assert client.post(undo)["Location"] == address
    assert "summarised for the model" not in client.get(address).content.decode()


@pytest.mark.django_db
def test_a_stranger_cannot_undo_it(stranger: User, summarised: Compaction, client_of: Any) -> None:
    assert client_of(stranger).post(f"/c/summaries/{summarised.pk}/undo").status_code == 404
    with pytest.raises(Refused):
        compaction.undo(stranger, summarised.pk)
    summarised.refresh_from_db()
    assert summarised.undone_at is None


@pytest.mark.django_db
def test_the_marker_costs_two_queries_however_long_the_thread(
    owner: User, thread: Thread, summarised: Compaction, django_assert_num_queries: Any
) -> None:
    with CaptureQueriesContext(connection) as counted:
        assert page_of_turns(owner, thread).sections
    assert len(counted) == 7, [query["sql"][:60] for query in counted]
    for number in range(10):
        say(owner, thread, f"q{number}", "a")
        Compaction.objects.create(thread=thread, through_seq=6 + 2 * number, summary="…", model="demo", undone_at=timezone.now())
    with django_assert_num_queries(len(counted)):
        assert page_of_turns(owner, thread).sections


def test_a_summary_made_while_the_page_is_open_appears_there_and_goes_when_it_is_undone(world: World) -> None:
    person = world.person()
    small = {"context_window": 400, "default_max_tokens": 100, "max_output_tokens": 200, "input_price": 1, "output_price": 2}
    CatalogModel.objects.update_or_create(
        slug="small", defaults={"label": "Small", "provider": "anthropic", "upstream": "small", "position": 900, **small}
    )
    page = world.page(person)
    assert page.send("[[tokens=3]] begin", "claude-haiku-4-5", new=True).status == 204
    page.open()
    page.until(lambda p: p.over)
    until(lambda: page.send(f"[[tokens=30]] {LONG}", "small").status == 204, 10, "the new model is offered")
    for number in range(2, 7):
        if number > 2:
            assert page.send(f"[[tokens=30]] {LONG}", "small").status == 204
        until(lambda: len(page.turns) == number and page.over)  # noqa: B023  used at once
    first, *_, last = Compaction.objects.filter(thread_id=str(page.thread_id)).order_by("through_seq")
    page.until(lambda p: [one["id"] for one in p.document.all("details")] == [f"summary-{last.pk}"])
    assert len(page.turns) == 6, "nothing is taken away"
    Compaction.objects.filter(thread_id=str(page.thread_id)).exclude(pk__in=[first.pk, last.pk]).delete()
    assert page.browser.post(f"/c/summaries/{last.pk}/undo").status == 204
    page.until(lambda p: [one["id"] for one in p.document.all("details")] == [f"summary-{first.pk}"])
    assert page.browser.post(f"/c/summaries/{first.pk}/undo").status == 204
    page.until(lambda p: not p.document.all("details"))
