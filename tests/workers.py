"""How `pytest -n` deals out the tests: a file at a time, or a family of files that share something.

Loaded as a plugin (see pyproject.toml), since the process that deals them out collects nothing itself.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.services import WORKER

# What is worked through by one worker, in the order in which it is begun: nothing is started twice, and of the tests that take a
# whole machine only a few meet. What is in no family is a share by itself, and fills up whoever is ready.
FAMILIES = {
    "tests/threads/test_kills.py": "deaths",
    "tests/e2e/": "the running product",
    "tests/threads/test_branches_page.py": "the running product",
    "tests/threads/test_compaction.py": "the running product",
    "tests/threads/test_key_snippets.py": "the running product",
    "tests/threads/test_live.py": "the running product",
    "tests/threads/test_live_order.py": "the running product",
    "tests/threads/test_live_reading.py": "the running product",
    "tests/threads/test_turn_actions.py": "the running product",
    "tests/billing/test_stripe_browser.py": "the running product",
    "tests/billing/test_usage_browser.py": "the running product",
    "tests/search/test_browser.py": "the running product",
    "tests/threads/test_matrix.py": "the running product",
    "tests/threads/test_replies.py": "the running product",
    "tests/threads/test_replies_many.py": "the running product",
    "tests/api/": "the running API",
    "tests/api/test_faults.py": "deaths",
    "tests/project/test_up.py": "deaths",
    "tests/billing/test_endings.py": "deaths",
    "tests/billing/test_burst.py": "deaths",
    "tests/billing/test_calls.py": "deaths",
    "tests/threads/test_markdown_browser.py": "the renderer in a browser",
    "tests/accounts/test_passkeys.py": "passkeys in a browser",
}


def share_of(node_id: str) -> str:
    """The name of the family or file."""
    path = node_id.partition("::")[0]
    return FAMILIES.get(max(filter(path.startswith, FAMILIES), key=len, default=""), path)


class Families(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Deals out shares in the order in which their first tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Families:
    config.option.loadscopereorder = False  # the number of tests says nothing about their time
    return Families(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The families first: what is begun last should be short."""
    if WORKER:
        families = list(dict.fromkeys(FAMILIES.values()))
        rank = {family: place for place, family in enumerate(families)}
        items.sort(key=lambda item: rank.get(share_of(item.nodeid), len(rank)))
