from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.tools.catalogue.vendor import Vendor
from tools import signing_in


@pytest.fixture(scope="session")
def scripted() -> Iterator[Vendor]:
    with Vendor() as vendor:
        yield vendor


@pytest.fixture
def vendor(scripted: Vendor, settings: Settings) -> Iterator[Vendor]:
    """Who answers for every host that `settings.TOOL_ORIGINS = vendor.origins(…)` names."""
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    scripted.answers()
    signing_in._tokens.clear()
    yield scripted
    signing_in._tokens.clear()
