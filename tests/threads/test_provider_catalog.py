"""The catalogue: what is offered depends on what is configured, and an operator's edits stay."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from threads.models import CatalogModel
from threads.providers import catalog

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_configured(settings: Settings) -> Iterator[None]:
    settings.ANTHROPIC_API_KEYS = []
    settings.OPENAI_API_KEYS = []
    settings.OLLAMA_BASE_URL = ""
    settings.DEMO_MODEL = True
    settings.DEFAULT_MODEL = ""
    settings.TASK_MODEL = ""
    catalog.forget()
    yield
    catalog.forget()


def slugs() -> list[str]:
    return [row.slug for row in catalog.offered()]


def test_without_any_key_only_the_demo_is_offered(settings: Settings) -> None:
    assert slugs() == ["demo"]
    assert (catalog.default_model(), catalog.task_model()) == ("demo", "demo")
    settings.DEMO_MODEL = False
    assert (slugs(), catalog.default_model(), catalog.task_model()) == ([], "", "")


def test_each_provider_is_offered_as_soon_as_it_is_configured(settings: Settings) -> None:
    settings.ANTHROPIC_API_KEYS = ["k"]
    assert catalog.default_model() == "claude-sonnet-5-5"
    assert catalog.task_model() == "claude-haiku-5-5", "titles are made by the cheapest model of the same provider"
    settings.OPENAI_API_KEYS = ["k"]
    settings.OLLAMA_BASE_URL = "http://localhost:11434"
    assert {row.provider for row in catalog.offered()} == {"anthropic", "openai", "ollama", "demo"}


def test_the_models_an_operator_names_are_used_when_they_are_offered(settings: Settings) -> None:
    settings.ANTHROPIC_API_KEYS = ["k"]
    settings.DEFAULT_MODEL = "Claude-Opus-5-5"
    settings.TASK_MODEL = "demo"
    assert (catalog.default_model(), catalog.task_model()) == ("claude-opus-5-5", "demo")
    settings.DEFAULT_MODEL = "gpt-6-sol"  # not configured
    assert catalog.default_model() == "claude-sonnet-5-5"


def test_a_model_is_found_whatever_the_case_and_by_the_name_of_its_provider() -> None:
    for name in ("gpt-5-4-mini", "GPT-5-4-Mini", "gpt-5.4-mini"):
        info = catalog.model_info(name)
        assert info is not None
        assert (info.slug, info.upstream) == ("gpt-5-4-mini", "gpt-5.4-mini")
        assert not catalog.is_offered(info)
    assert catalog.model_info("no-such-model") is None


def test_a_missing_cache_price_is_the_price_of_input() -> None:
    info = catalog.model_info("demo")
    assert info is not None
    assert info.price["cache_read"] == info.price["input"] == "0.250000"


def test_a_change_in_admin_counts_at_once_and_survives_the_next_migrate() -> None:
    assert slugs() == ["demo"]
    CatalogModel.objects.get(slug="demo").delete()
    row = CatalogModel.objects.get(slug="claude-haiku-5-5")
    row.input_price = Decimal("9")
    row.enabled = False
    row.save()
    assert slugs() == []
    assert catalog.seed(apps, "default") == 1, "only the missing row comes back"
    row.refresh_from_db()
    assert (row.input_price, row.enabled) == (Decimal("9"), False)
    assert slugs() == ["demo"]
    call_command("migrate", verbosity=0)
    row.refresh_from_db()
    assert row.input_price == Decimal("9")


def test_asking_again_asks_no_database() -> None:
    catalog.offered()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        catalog.offered()
        catalog.model_info("demo")
        catalog.default_model()
    assert len(queries) == 0


def test_every_seeded_row_is_complete_and_valid() -> None:
    for row in CatalogModel.objects.all():
        row.full_clean()
        assert row.description
        assert row.max_output_tokens <= row.context_window


def test_one_adapter_serves_all_models_of_a_provider_until_it_is_closed() -> None:
    info = catalog.model_info("demo")
    assert info is not None
    provider = catalog.provider_for(info)
    assert catalog.provider_for(info) is provider
    async_to_sync(catalog.close_providers)()
    assert catalog.provider_for(info) is not provider
