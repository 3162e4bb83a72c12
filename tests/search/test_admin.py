"""The index in the admin: how it is, and the one thing that can be done about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import User
from search import generations, vectors
from search.models import Generation, Passage
from tests.dom import parse
from tests.search.talk import conversation, indexed

ClientOf = Callable[[User], Client]
LIST, AGAIN = "admin:search_generation_changelist", "admin:search_generation_embed_again"


@pytest.fixture
def admin(db: None, client_of: ClientOf) -> Client:
    return client_of(User.objects.create_superuser("root@example.com", "correct horse battery"))


def facts(client: Client) -> dict[str, str]:
    document = parse(client.get(reverse(LIST)).content.decode())
    return {one.all("dt")[0].text: one.all("dd")[0].text for one in document.all("div") if one.all("dt") and not one.all("div")}


def test_it_says_what_waits_what_fails_and_whether_anybody_embeds(admin: Client, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "somebody_embeds", lambda _models: False)
    conversation(owner, ("What is a comet?", "A ball of ice and dust."))
    told = facts(admin)
    assert (told["Turns that wait for their words"], told["Embedder"]) == ("1", "none")
    indexed()
    told = facts(admin)
    assert told["Turns that wait for their words"] == "0"
    assert told["Passages that wait for their vector"] == "2"
    assert told["Of these, failing"] == "0"
    Passage.objects.filter(role="user").update(tries=generations.GIVEN_UP)
    assert facts(admin)["Of these, failing"] == "1"
    page = admin.get(reverse(LIST)).content.decode()
    assert "1 passage got no vector" in page
    assert "comet" not in page, "no content in lists"
    monkeypatch.setattr(vectors, "somebody_embeds", lambda _models: True)
    assert facts(admin)["Embedder"] == "at work"


def test_everything_is_embedded_again_beside_what_answers(admin: Client, owner: User) -> None:
    conversation(owner, ("What is a comet?", "A ball of ice and dust."))
    indexed()
    assert admin.get(reverse(AGAIN)).status_code == 405
    assert admin.post(reverse(AGAIN)).status_code == 302
    assert list(Generation.objects.order_by("pk").values_list("state", flat=True)) == ["serving", "filling"]
    assert LogEntry.objects.get().change_message == "Embed again"
    assert "being made anew" in admin.get(reverse(LIST)).content.decode()


def test_who_may_only_look_cannot_do_it(owner: User, stranger: User, client_of: ClientOf) -> None:
    generations.ensure()
    owner.is_staff = True
    owner.save()
    owner.user_permissions.add(Permission.objects.get(codename="view_generation"))
    client = client_of(owner)
    assert "Embed everything again" not in client.get(reverse(LIST)).content.decode()
    assert client.post(reverse(AGAIN)).status_code == 403
    assert client_of(stranger).post(reverse(AGAIN)).status_code == 302, "to the sign-in page"
    assert Generation.objects.count() == 1
