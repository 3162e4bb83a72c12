"""What the model finds when it searches: what its user may see, and no more."""

from __future__ import annotations

from uuid import uuid4

import pytest

from accounts.keys import mint, personal_key
from accounts.models import ApiKey, User
from search import vectors
from search.tool import Asking, search_conversations
from tests.dom import parse
from tests.search.talk import conversation, indexed
from threads import markdown
from threads.models import Message, Thread
from threads.refusals import Refused


@pytest.fixture(autouse=True)
def by_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "of_query", lambda *_: None)


def asking(user: User, key: ApiKey | None, thread: Thread | None = None) -> Asking:
    return Asking(user.pk, key.pk if key else None, thread.end_user_id if thread else None, thread.pk if thread else None)


def found(asking: Asking, text: str, **limit: int) -> list[str]:
    return [result["conversation"] for result in search_conversations(asking, text, **limit)["results"]]


def test_a_person_finds_all_that_is_theirs_but_for_the_conversation_at_hand(owner: User, stranger: User) -> None:
    key, _ = mint(owner, "app")
    here = conversation(owner, ("Tell me about the comet Halley", "Every 76 years."), title="here")
    conversation(owner, ("The comet of 1997 was Hale-Bopp", "Yes."), title="browser")
    conversation(owner, ("A comet has a tail", "Two of them."), title="app", key=key)
    conversation(stranger, ("comet comet comet", "comet"), title="foreign")
    indexed()
    personal = personal_key(owner)
    assert sorted(found(asking(owner, personal, here), "comet")) == ["app", "browser"]
    assert len(found(asking(owner, personal, here), "comet", limit=1)) == 1
    note = search_conversations(asking(owner, personal, here), "comet")["note"]
    assert "only messages with the same words" in note


def test_an_app_finds_what_its_key_made_and_of_an_end_user_nothing_of_another(owner: User) -> None:
    key, _ = mint(owner, "app", "admin")
    other, _ = mint(owner, "other")
    for end_user, made_by in (("ann", key), ("bob", key), ("ann", other), (None, None)):
        title = f"{end_user} {made_by.name if made_by else 'browser'}"
        conversation(owner, ("A comet again", "Yes."), title=title, key=made_by, end_user_id=end_user)
    indexed()
    at_hand = Thread.objects.create(user=owner, key=key, end_user_id="ann")
    assert sorted(found(asking(owner, key, at_hand), "comet")) == ["ann app", "ann other"], "an admin key sees all of its account"
    of_other = Thread.objects.create(user=owner, key=other, end_user_id="ann")
    assert found(asking(owner, other, of_other), "comet") == ["ann other"]


def test_a_key_that_is_gone_or_foreign_finds_nothing(owner: User, stranger: User) -> None:
    conversation(owner, ("A comet again", "Yes."))
    indexed()
    foreign, _ = mint(stranger, "foreign")
    for nobody in (asking(owner, None), asking(owner, foreign), Asking(owner.pk, uuid4(), None, None)):
        with pytest.raises(Refused):
            search_conversations(nobody, "comet")


def test_a_citation_leads_to_the_message_and_nowhere_else(owner: User) -> None:
    thread = conversation(owner, ("What is Hale-Bopp?", "A great comet of 1997."))
    indexed()
    (result,) = search_conversations(asking(owner, personal_key(owner)), "great comet")["results"]
    message = Message.objects.get(thread=thread, role="assistant")
    assert result["link"] == f"/c/{thread.pk}?at=2#m-{message.pk}"
    assert (result["thread_id"], result["seq"], result["said_by"]) == (str(thread.pk), 2, "assistant")
    assert parse(markdown.render(f"[here]({result['link']})")).one("a")["href"] == result["link"]
    for other in ("/settings/", "/c/new", f"/c/{thread.pk}", f"/c/{thread.pk}/delete", f"//evil.example{result['link']}", "/admin/"):
        assert parse(markdown.render(f"[here]({other})")).one("a").get("href") is None, other
