"""Rules on the settings page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from tools.models import ToolRule

pytestmark = pytest.mark.django_db


def rules(user: User) -> list[tuple[str, str]]:
    return list(ToolRule.objects.filter(user=user).values_list("pattern", "verdict"))


def test_a_rule_is_set_changed_and_taken_away_and_nobody_elses_is_touched(
    owner: User, stranger: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(owner)
    ToolRule.objects.create(user=stranger, pattern="linear/*", verdict="deny")
    for verdict in ("deny", "ask"):
        assert client.post("/settings/tools/rules/", {"pattern": "linear/*", "verdict": verdict}).status_code == 302
        assert rules(owner) == [("linear/*", verdict)]
    assert "linear/*" in client.get("/settings/tools/").content.decode()
    client.post("/settings/tools/rules/", {"pattern": "linear/*", "verdict": "default"})
    assert (rules(owner), rules(stranger)) == ([], [("linear/*", "deny")])


@pytest.mark.parametrize(("pattern", "verdict"), [("", "deny"), ("a b", "deny"), ("linear/*", "always"), ("linear/*", "")])
def test_nonsense_is_refused_in_a_sentence(pattern: str, verdict: str, owner: User, client_of: Callable[[User], Client]) -> None:
    client = client_of(owner)
    answer = client.post("/settings/tools/rules/", {"pattern": pattern, "verdict": verdict}, follow=True)
    assert "pattern: letters" in (page := answer.content.decode()) or "verdict: allow" in page
    assert rules(owner) == []
