"""Conversations whose tools are made for the test."""

import pytest

from accounts.models import User
from chatai.lib import hints
from tests.billing.spending import lift_limits
from threads import actions, load
from threads.models import Thread
from threads.providers import catalog


@pytest.fixture
def thread(owner: User, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Thread:
    """Of somebody who can pay."""
    monkeypatch.setattr(hints, "announce", lambda *_words: None)
    monkeypatch.setattr(load, "_looked_at", 0.0)
    catalog.forget()
    lift_limits(owner)
    return actions.create_thread(owner, model="demo")
