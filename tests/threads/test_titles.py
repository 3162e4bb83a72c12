"""Names for conversations, written by a model once the first answer is there."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from accounts.models import User
from bench import provider
from chatai.lib import hints
from tests.threads.test_actions import ask
from threads import actions, tasks, titles
from threads.models import Message, Thread
from threads.providers import catalog


@pytest.fixture(autouse=True)
def scripted(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[provider.Server]:
    """The scripted provider on a loop of its own, as the one that writes titles."""
    monkeypatch.setattr(hints, "announce", lambda *_: None)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(provider.start(), loop).result(10)
    settings.ANTHROPIC_API_KEYS, settings.ANTHROPIC_BASE_URL = ["sk-ant"], server.base_url
    settings.TASK_MODEL = "claude-haiku-4-5"
    catalog.forget()
    yield server
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
    catalog.forget()


def answered(user: User, question: str) -> Thread:
    """A thread whose first answer is there."""
    thread = actions.create_thread(user)
    turn_id = ask(user, thread, question).turn_id
    Message.objects.filter(turn_id=turn_id, role="user").update(seq=1)
    Message.objects.filter(turn_id=turn_id, role="assistant").update(seq=2, content=[{"type": "text", "text": "The answer"}])
    Thread.objects.filter(pk=thread.pk).update(title_due=True, last_seq=2)
    return thread


def test_a_model_names_the_conversation_once(owner: User, scripted: provider.Server) -> None:
    thread = answered(owner, '[[text="  “Plans for Lisbon.” "]]')
    tasks.name_thread(str(thread.pk))
    tasks.name_thread(str(thread.pk))
    thread.refresh_from_db()
    assert (thread.title, thread.title_source, thread.title_due) == ("Plans for Lisbon", "model", False)
    assert len(scripted.requests) == 1
    assert "The answer" in scripted.requests[0].text
    assert scripted.requests[0].body["max_tokens"] == titles.MOST_TOKENS


def test_a_title_given_by_the_person_in_the_meantime_stays(owner: User) -> None:
    thread = answered(owner, '[[text="From the model"]]')
    actions.rename(owner, thread.pk, "Mine")
    Thread.objects.filter(pk=thread.pk).update(title_due=True)
    tasks.name_thread(str(thread.pk))
    thread.refresh_from_db()
    assert thread.title == "Mine"


def test_a_provider_that_fails_leaves_the_first_words(owner: User) -> None:
    thread = answered(owner, "[[status=401]]")
    tasks.name_thread(str(thread.pk))
    thread.refresh_from_db()
    assert (thread.title, thread.title_source) == ("[[status=401]]", "words")


def test_a_thread_that_is_gone_is_no_trouble(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = answered(owner, '[[text="Too late"]]')

    def erased_meanwhile(*_: Any) -> str:
        Thread.objects.filter(pk=thread.pk).delete()
        return "Too late"

    monkeypatch.setattr(titles, "_complete", erased_meanwhile)
    tasks.name_thread(str(thread.pk))
    tasks.name_thread(str(thread.pk))
    assert not Thread.objects.exists()


def test_a_title_whose_job_was_lost_is_written_by_the_sweeper(owner: User) -> None:
    late, fresh = answered(owner, '[[text="Found again"]]'), answered(owner, '[[text="Not yet"]]')
    Thread.objects.filter(pk=late.pk).update(last_active_at=late.created_at - tasks.LATE * 2)
    tasks.name_forgotten()
    late.refresh_from_db()
    fresh.refresh_from_db()
    assert (late.title, fresh.title_due) == ("Found again", True)
