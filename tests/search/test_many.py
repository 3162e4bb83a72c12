"""Among many rows of others: a person's own are all found, no other is, and the nearest are the nearest. `SEARCH_ROWS` says how many."""

from __future__ import annotations

import os
import random

import pytest

from bench import search, search_rows
from bench.search_rows import Rows
from search import generations

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.timeout(3600)]

FEW = 3000  # messages: thirty people's, beside who is large among so few


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    messages = int(os.environ.get("SEARCH_ROWS") or FEW)
    monkeypatch.setattr(generations, "LARGE", min(generations.LARGE, messages // 20))
    monkeypatch.setattr(generations, "HUGE", min(generations.HUGE, messages // 5))
    made = search_rows.make(messages, messages // search.PER_OWNER)
    while generations.find_large():
        pass
    return made


def test_ten_of_ten_are_found_none_of_others_and_the_nearest_first(rows: Rows) -> None:
    lines = search.right(rows, random.Random(5))
    assert [line.what for line in lines if line.bar is None] == []
    assert [(line.what, line.value) for line in lines if not line.holds] == []
