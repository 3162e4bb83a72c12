"""Versions of a turn: nothing is rewritten, the path decides what is read, sent and listed."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from accounts.models import ApiKey, User
from chatai.lib import hints
from tests.threads.dialogue import answer, ask, begin, finish, path, request_of, say, texts
from threads import actions, branches, compaction, load
from threads.actions import Refused
from threads.blocks import text_of
from threads.live.frames import turn_views
from threads.models import CatalogModel, Compaction, Message, Thread, Turn
from threads.paging import page_of_turns
from threads.providers import catalog

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, ...]]]:
    """No test here needs Redis; what would have been announced."""
    heard: list[tuple[str, ...]] = []
    monkeypatch.setattr(hints, "announce", lambda *words: heard.append(tuple(map(str, words))))
    monkeypatch.setattr(load, "_looked_at", 0.0)
    catalog.forget()
    yield heard
    catalog.forget()


@pytest.fixture
def thread(owner: User) -> Thread:
    return actions.create_thread(owner)


@pytest.fixture
def three(owner: User, thread: Thread) -> list[Turn]:
    return [say(owner, thread, f"q{n}", f"a{n}") for n in (1, 2, 3)]


def edit(user: User, turn: Turn, text: str, **rest: Any) -> Turn:
    given = {"model": "demo", "request_id": str(uuid4()), **rest}
    return Turn.objects.get(pk=actions.edit(user, turn.pk, content=text, **given).turn_id)


def regenerate(user: User, turn: Turn, **rest: Any) -> Turn:
    return Turn.objects.get(pk=actions.regenerate(user, turn.pk, **{"request_id": str(uuid4()), **rest}).turn_id)


def refusal(call: Callable[..., Any], *args: Any, **rest: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        call(*args, **rest)
    assert caught.value.message.endswith(".")
    return caught.value


def everything(thread: Thread) -> Any:
    turns = Turn.objects.filter(thread=thread).order_by("number").values("pk", "on_path", "status", "parent")
    return list(turns), list(Message.objects.filter(thread=thread).order_by("pk").values("pk", "seq", "on_path", "content"))


def gapless(thread: Thread) -> bool:
    thread.refresh_from_db()
    seqs = list(Message.objects.filter(thread=thread, seq__isnull=False).order_by("seq").values_list("seq", flat=True))
    return seqs == list(range(1, thread.last_seq + 1))


# --- editing and asking again ----------------------------------------------------------------------------------------------


def test_an_edit_is_a_sibling_and_what_followed_is_kept_beside_the_path(owner: User, thread: Thread, three: list[Turn]) -> None:
    edited = answer(edit(owner, three[1], "q2, better"), "a2, better")
    assert path(thread) == ["q1", "a1", "q2, better", "a2, better"]
    assert edited.parent_id == three[0].pk == Turn.objects.get(pk=three[1].pk).parent_id
    kept = Message.objects.filter(turn__in=three[1:]).order_by("seq")
    assert [text_of(message.content) for message in kept] == ["q2", "a2", "q3", "a3"]
    assert not kept.filter(on_path=True).exists()
    assert gapless(thread)


def test_asking_again_asks_the_same_with_the_same_options_of_another_model(owner: User, thread: Thread) -> None:
    blocks = [{"type": "text", "text": "see"}, {"type": "text", "text": "this"}]
    first = answer(ask(owner, thread, blocks, options={"max_tokens": 77, "system": "Be brief."}))
    CatalogModel.objects.create(
        slug="second", label="Second", provider="demo", upstream="demo", context_window=1000, input_price=1, output_price=1
    )
    again = answer(regenerate(owner, first, model="second"))
    assert Message.objects.get(turn=again, role="user").content == blocks
    assert (again.options, again.model, again.parent_id) == (first.options, "second", None)
    assert regenerate(owner, again).model == again.model, "without a model, the one that was asked"


def test_an_edited_text_leaves_images_where_they_were() -> None:
    image = {"type": "image", "source": {"type": "file", "file_id": "x"}}
    text = {"type": "text", "text": "old"}
    new = {"type": "text", "text": "new"}
    assert branches.reworded([image, text], "new") == [image, new]
    assert branches.reworded([text, image, text], "new") == [new, image]
    assert branches.reworded([image], "new") == [image, new]


def test_the_first_turn_can_have_versions_too(owner: User, thread: Thread, three: list[Turn]) -> None:
    answer(edit(owner, three[0], "another beginning"), "fine")
    assert path(thread) == ["another beginning", "fine"]
    actions.switch(owner, thread.pk, three[0].pk)
    assert path(thread) == ["q1", "a1", "q2", "a2", "q3", "a3"]


def test_the_next_question_continues_the_path_that_is_read(owner: User, thread: Thread, three: list[Turn]) -> None:
    edited = answer(edit(owner, three[1], "q2b"), "a2b")
    follow = say(owner, thread, "q3b", "a3b")
    assert follow.parent_id == edited.pk
    actions.switch(owner, thread.pk, three[1].pk)
    assert say(owner, thread, "q4", "a4").parent_id == three[2].pk
    assert path(thread) == ["q1", "a1", "q2", "a2", "q3", "a3", "q4", "a4"]
    actions.switch(owner, thread.pk, edited.pk)
    assert path(thread) == ["q1", "a1", "q2b", "a2b", "q3b", "a3b"]
    assert gapless(thread)


def test_deep_trees_keep_every_version_within_reach(owner: User, thread: Thread) -> None:
    turns = {"0": say(owner, thread, "0", "!")}
    for depth in range(1, 5):
        for key in [key for key in turns if len(key) == depth]:
            actions.switch(owner, thread.pk, turns[key].pk)
            turns[key + "a"] = say(owner, thread, key + "a", "!")
            turns[key + "b"] = answer(edit(owner, turns[key + "a"], key + "b"), "!")
    assert Turn.objects.filter(thread=thread).count() == 31
    for key, turn in turns.items():
        actions.switch(owner, thread.pk, turn.pk)
        read = path(thread)[::2]
        assert read[: len(key)] == [key[: end + 1] for end in range(len(key))], "the way to it"
        assert read[len(key) :] == [key + "b" * more for more in range(1, 5 - len(key) + 1)], "and on along the newest"
    assert gapless(thread)
    one_path = Turn.objects.filter(thread=thread, on_path=True)
    assert one_path.count() == 5
    assert Message.objects.filter(thread=thread, on_path=True).count() == 10


# --- what follows the path --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_provider_is_sent_the_path_and_nothing_beside_it(owner: User, thread: Thread) -> None:
    turns = [say(owner, thread, f"q{n}", f"a{n}") for n in (1, 2, 3)]
    edited = begin(edit(owner, turns[1], "q2b"))
    assert texts(asyncio.run(request_of(edited.pk)).messages) == ["q1", "a1", "q2b"]
    finish(edited, "a2b")
    actions.switch(owner, thread.pk, turns[1].pk)
    last = begin(ask(owner, thread, "q4"))
    assert texts(asyncio.run(request_of(last.pk)).messages) == ["q1", "a1", "q2", "a2", "q3", "a3", "q4"]
    finish(last, "a4")
    again = begin(regenerate(owner, turns[2]))
    assert texts(asyncio.run(request_of(again.pk)).messages) == ["q1", "a1", "q2", "a2", "q3"]


def test_a_page_shows_the_path_and_says_which_version_it_is(owner: User, thread: Thread, three: list[Turn]) -> None:
    second = answer(edit(owner, three[1], "q2b"))
    third = answer(regenerate(owner, second))
    page = page_of_turns(owner, thread)
    assert [(turn.version, turn.versions) for turn in page.views] == [(1, 1), (3, 3)]
    assert (page.views[1].previous_id, page.views[1].next_id) == (second.pk, None)
    actions.switch(owner, thread.pk, second.pk)
    shown = page_of_turns(owner, thread).views[1]
    assert (shown.version, shown.previous_id, shown.next_id) == (2, three[1].pk, third.pk)


def test_paging_back_ends_at_the_beginning_of_the_path(owner: User, thread: Thread, settings: Any) -> None:
    settings.PAGE_SIZE = 4
    turns = [say(owner, thread, f"q{n}", "a") for n in range(1, 7)]
    answer(edit(owner, turns[0], "another beginning"))
    for n in range(5):
        say(owner, thread, f"r{n}", "a")
    seen: list[str] = []
    older, before = True, None
    while older:
        page = page_of_turns(owner, thread, before)
        seen = [turn.rows[0].text for turn in page.views] + seen
        before, older = page.older, page.older is not None
    assert seen == ["another beginning", *(f"r{n}" for n in range(5))]


def test_drawing_turns_takes_as_many_queries_whatever_versions_there_are(
    owner: User, thread: Thread, three: list[Turn], django_assert_num_queries: Any
) -> None:
    catalog.model_info("demo")  # kept for a while
    with django_assert_num_queries(2):
        assert [view.versions for view in turn_views(three)] == [1, 1, 1]
    for turn in three:
        answer(edit(owner, turn, "b"))
        actions.switch(owner, thread.pk, turn.pk)
    with django_assert_num_queries(2):
        assert [view.versions for view in turn_views(three)] == [2, 2, 2]


# --- who may, and when ------------------------------------------------------------------------------------------------------


def test_a_stranger_finds_nothing_to_edit_ask_again_or_switch(stranger: User, thread: Thread, three: list[Turn]) -> None:
    before = everything(thread)
    for call in (lambda: edit(stranger, three[1], "mine now"), lambda: regenerate(stranger, three[1])):
        assert refusal(call).status == 404
    assert refusal(actions.switch, stranger, thread.pk, three[1].pk).status == 404
    assert refusal(actions.edit, stranger, uuid4(), content="x", request_id="r").status == 404
    assert everything(thread) == before


def test_a_version_of_another_thread_cannot_be_switched_to(owner: User, thread: Thread, three: list[Turn]) -> None:
    other = actions.create_thread(owner)
    foreign = say(owner, other, "elsewhere", "a")
    assert refusal(actions.switch, owner, thread.pk, foreign.pk).status == 404
    assert path(thread)[0] == "q1"


@pytest.mark.parametrize("state", ["queued", "running"])
def test_while_an_answer_is_written_the_path_stays(owner: User, thread: Thread, three: list[Turn], state: str) -> None:
    edited = answer(edit(owner, three[2], "q3b"))
    busy = ask(owner, thread, "q4")
    if state == "running":
        begin(busy)
    before = everything(thread)
    for call in (
        lambda: edit(owner, edited, "no"),
        lambda: regenerate(owner, edited),
        lambda: actions.switch(owner, thread.pk, three[2].pk),
    ):
        refused = refusal(call)
        assert (refused.status, refused.message) == (409, "An answer is being written. Stop it or wait for its end.")
    assert everything(thread) == before


def test_a_version_that_is_not_read_now_is_switched_to_before_it_is_edited(owner: User, thread: Thread, three: list[Turn]) -> None:
    answer(edit(owner, three[1], "q2b"))
    assert refusal(edit, owner, three[2], "q3b").status == 409
    actions.switch(owner, thread.pk, three[1].pk)
    assert edit(owner, three[2], "q3b").parent_id == three[1].pk


@pytest.mark.parametrize("stage", ["queued", "running", "over", "over and left again"])
def test_the_same_request_again_changes_nothing(owner: User, thread: Thread, three: list[Turn], stage: str) -> None:
    def again() -> UUID:
        return actions.edit(owner, three[1].pk, content="q2b", model="demo", request_id="r1").turn_id

    turn = Turn.objects.get(pk=again())
    if stage != "queued":
        turn = begin(turn)
    if stage.startswith("over"):
        finish(turn, "a")
    if stage.endswith("again"):
        actions.switch(owner, thread.pk, three[1].pk)
    before = everything(thread)
    assert again() == turn.pk
    assert everything(thread) == before


def test_the_same_request_id_with_other_words_is_refused(owner: User, thread: Thread, three: list[Turn]) -> None:
    answer(edit(owner, three[1], "q2b", request_id="r1"))
    before = everything(thread)
    assert refusal(edit, owner, three[1], "q2c", request_id="r1").status == 422
    assert everything(thread) == before


def test_a_refused_edit_leaves_the_path(owner: User, thread: Thread, three: list[Turn]) -> None:
    before = everything(thread)
    assert refusal(edit, owner, three[1], "  ").status == 400
    assert refusal(edit, owner, three[1], "q2b", model="nothing").status == 400
    assert everything(thread) == before


def test_an_edit_taken_back_before_it_started_brings_the_version_before_back(owner: User, thread: Thread, three: list[Turn]) -> None:
    waiting = edit(owner, three[1], "q2b")
    assert path(thread) == ["q1", "a1"]
    assert actions.withdraw(owner, waiting.pk) == "q2b"
    assert path(thread) == ["q1", "a1", "q2", "a2", "q3", "a3"]
    first = edit(owner, three[0], "q1b")
    behind = ask(owner, thread, "and then")
    actions.withdraw(owner, first.pk)
    assert (path(thread), Turn.objects.get(pk=behind.pk).parent_id) == ([], None), "what waits behind it stands there now"
    answer(behind)
    assert page_of_turns(owner, thread).views[0].versions == 2


def test_a_message_taken_back_from_the_queue_brings_nothing_else(owner: User, thread: Thread, three: list[Turn]) -> None:
    running = begin(ask(owner, thread, "q4"))
    actions.withdraw(owner, ask(owner, thread, "q5").pk)
    finish(running, "a4")
    assert path(thread)[-2:] == ["q4", "a4"]
    actions.withdraw(owner, ask(owner, thread, "q5").pk)
    assert path(thread)[-2:] == ["q4", "a4"]


def test_every_watcher_is_told(owner: User, thread: Thread, three: list[Turn], quiet: list[tuple[str, ...]]) -> None:
    answer(edit(owner, three[1], "q2b"))
    quiet.clear()
    before = timezone.now() - timedelta(minutes=1)
    Turn.objects.filter(thread=thread).update(changed_at=before)
    actions.switch(owner, thread.pk, three[1].pk)
    assert ("live", "threads", str(thread.pk)) in quiet
    changed = Turn.objects.filter(thread=thread, changed_at__gt=before)
    assert set(changed.values_list("number", flat=True)) == {2, 3, 4}, "what comes and what goes, and nothing else"


def test_a_standard_key_cannot_branch_what_another_key_made(owner: User, thread: Thread, three: list[Turn]) -> None:
    other = ApiKey.objects.create(user=owner, name="other", digest=b"x" * 32, prefix="x")
    before = everything(thread)
    assert refusal(edit, owner, three[1], "q2b", key=other).status == 404
    assert everything(thread) == before


def test_a_summary_counts_only_where_its_end_is_read(owner: User, thread: Thread, three: list[Turn]) -> None:
    made = Compaction.objects.create(thread=thread, through_seq=4, summary="…", model="demo")
    assert compaction.current(thread) == made
    answer(edit(owner, three[1], "q2b"))
    assert compaction.current(thread) is None
    actions.switch(owner, thread.pk, three[1].pk)
    assert compaction.current(thread) == made
