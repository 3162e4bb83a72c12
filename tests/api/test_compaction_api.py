"""A thread that outgrows its model's window, through the API: summarised for the model, whole for everybody else."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.models import User
from tests.api.client import Caller
from tests.page import Browser
from tests.stack import Stack, until
from threads.compaction import LEAD_IN, SYSTEM
from threads.models import CatalogModel, Compaction

LONG = "word " * 30
SIZES = {"context_window": 400, "default_max_tokens": 100, "max_output_tokens": 200, "input_price": 1, "output_price": 2}


@pytest.fixture
def owner(account: Callable[[str], User]) -> User:
    return account("owner")


@pytest.fixture
def holder(owner: User, caller: Callable[..., Caller]) -> Caller:
    return caller(owner)


@pytest.fixture
def small(database: None, holder: Caller) -> Iterator[str]:
    """A model with room for about 900 characters of history."""
    CatalogModel.objects.create(slug="tiny", label="Tiny", provider="anthropic", upstream="tiny", position=900, **SIZES)
    until(lambda: "tiny" in holder.get("/v1/models").body.decode(), 10, "the new model is offered")
    yield "tiny"
    CatalogModel.objects.filter(slug="tiny").delete()


def texts(body: dict[str, Any]) -> list[str]:
    return [block["text"] for message in body["messages"] for block in message["content"] if block["type"] == "text"]


def test_a_thread_that_outgrows_the_window_is_summarised_once_and_nothing_is_lost(
    holder: Caller, owner: User, stack: Stack, small: str
) -> None:
    thread_id = holder.thread()
    questions = [f"q{number} {LONG} [[tokens=30]]" for number in range(1, 6)]
    for question in questions:
        assert holder.send(thread_id, question, model=small).status == 200
        if holder.messages(thread_id)["compaction"]:
            break
    (asked, sent) = stack.provider_bodies(2)
    assert asked["system"] == SYSTEM
    assert asked["model"] != "tiny", "the task model writes it"
    assert questions[0] in texts(asked)[0]
    made = Compaction.objects.get(thread_id=thread_id)
    summarised = holder.messages(thread_id)["compaction"]
    assert summarised == {"summary": made.summary, "summarized_through_seq": made.through_seq}
    rows = holder.messages(thread_id)["data"]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1)), "people and apps keep everything"
    assert [row["content"][0]["text"] for row in rows[::2]] == questions[: len(rows) // 2]
    rest = [row["content"][0]["text"] for row in rows[:-1] if row["seq"] > made.through_seq]
    assert texts(sent) == [LEAD_IN + made.summary, *rest]
    assert sent["messages"][-1]["role"] == "user"

    before = stack.provider_stats()["requests"]
    assert holder.send(thread_id, "short [[tokens=2]]", model=small).status == 200
    assert stack.provider_stats()["requests"] == before + 1, "the summary is there already"
    assert texts(stack.provider_bodies(1)[0])[0] == LEAD_IN + made.summary

    assert Browser(stack.url, owner).post(f"/c/summaries/{made.pk}/undo").status == 204
    assert holder.messages(thread_id)["compaction"] is None
    assert holder.send(thread_id, "and now [[tokens=2]]", model=small).status == 200
    (sent,) = stack.provider_bodies(1)
    assert not any(LEAD_IN in text for text in texts(sent))
    assert texts(sent)[-1] == "and now [[tokens=2]]"
    assert len(texts(sent)) > 3, "as much as fits"
    assert Compaction.objects.filter(thread_id=thread_id).count() == 1
