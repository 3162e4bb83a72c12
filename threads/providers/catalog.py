"""Which models there are, which of them can be used here, and who serves them.

Rows live in the database (`CatalogModel`), seeded from `catalog.toml`, edited in admin; reads are served from a copy that
is at most `FRESH_SECONDS` old.
"""

import time
import tomllib
from pathlib import Path
from typing import Any

from django.apps.registry import Apps
from django.conf import settings
from django.db.models import signals
from django.dispatch import receiver

from threads.models import CatalogModel
from threads.providers.base import ModelInfo, Provider
from threads.providers.failures import Vendor

FRESH_SECONDS = 5.0
MISSED_SECONDS = 0.2  # before a name that is not there is looked for anew
SEED = Path(__file__).with_name("catalog.toml")

_rows: tuple[CatalogModel, ...] = ()
_priced: frozenset[str] = frozenset()  # slugs of rows that somebody can be charged by
_read_at: float | None = None
_providers: dict[str, Provider] = {}


def model_info(slug: str) -> ModelInfo | None:
    """The model of that name whether it is offered or not; the exact slug first, else whatever the case, else by upstream name.

    A name that is not known is looked for anew: another process may have taken in a turn for a model that was added a moment ago.
    """
    found = _find(slug)
    if found is None and _read_at is not None and time.monotonic() - _read_at > MISSED_SECONDS:
        forget()
        found = _find(slug)
    return found


def _find(slug: str) -> ModelInfo | None:
    low = slug.lower()
    ranked = [((row.slug != slug, row.slug.lower() != low), row) for row in _all_rows() if low in (row.slug.lower(), row.upstream.lower())]
    return _info(min(ranked, key=lambda pair: pair[0])[1]) if ranked else None


def offered() -> list[CatalogModel]:
    """Enabled models with complete prices whose provider is configured, in the order of the picker."""
    return [row for row in _all_rows() if row.enabled and row.slug in _priced and _configured(row.provider)]


def is_offered(info: ModelInfo) -> bool:
    return any(row.slug == info.slug for row in offered())


def default_model() -> str:
    """Slug of DEFAULT_MODEL when it is offered, else of the first offered; empty when there is none at all."""
    rows = offered()
    wanted = model_info(settings.DEFAULT_MODEL) if settings.DEFAULT_MODEL else None
    if wanted is not None and any(row.slug == wanted.slug for row in rows):
        return wanted.slug
    return rows[0].slug if rows else ""


def task_model() -> str:
    """Slug for titles and summaries: TASK_MODEL when it is offered, else the cheapest of the default model's provider."""
    rows = offered()
    wanted = model_info(settings.TASK_MODEL) if settings.TASK_MODEL else None
    if wanted is not None and any(row.slug == wanted.slug for row in rows):
        return wanted.slug
    default = model_info(default_model())
    if default is None:
        return ""
    return min((row for row in rows if row.provider == default.provider), key=lambda row: row.output_price).slug


def provider_for(info: ModelInfo) -> Provider:
    """The adapter that serves this model: one instance per process, made on first use."""
    if info.provider not in _providers:
        _providers[info.provider] = _make(info.provider)
    return _providers[info.provider]


async def close_providers() -> None:
    """Close every connection pool; the next `provider_for` makes new ones."""
    while _providers:
        _, provider = _providers.popitem()
        await provider.close()


def forget() -> None:
    """Read the rows again at the next question."""
    global _read_at
    _read_at = None


def seed(apps: Apps, using: str) -> int:
    """Insert the models of `catalog.toml` that have no row yet; how many were inserted. Raises ValueError for a wrong price."""
    table: Any = apps.get_model("threads", "CatalogModel")
    known = set(table.objects.using(using).values_list("slug", flat=True))
    models = tomllib.loads(SEED.read_text())["models"]
    for model in models:
        if found := CatalogModel(**model).price_problems():
            raise ValueError(f"{SEED.name}: {model['slug']}: {' '.join(found)}")
    new = [table(**{"upstream": model["slug"], **model}) for model in models if model["slug"] not in known]
    table.objects.using(using).bulk_create(new, ignore_conflicts=True)
    forget()
    return len(new)


@receiver([signals.post_save, signals.post_delete], sender=CatalogModel)
def _changed(**_: object) -> None:
    forget()


def _all_rows() -> tuple[CatalogModel, ...]:
    global _rows, _priced, _read_at
    now = time.monotonic()
    if _read_at is None or now - _read_at > FRESH_SECONDS:
        _rows = tuple(CatalogModel.objects.all())
        _priced = frozenset(row.slug for row in _rows if not row.price_problems())
        _read_at = now
    return _rows


def _configured(provider: str) -> bool:
    match provider:
        case "anthropic":
            return bool(settings.ANTHROPIC_API_KEYS)
        case "openai":
            return bool(settings.OPENAI_API_KEYS)
        case "ollama":
            return bool(settings.OLLAMA_BASE_URL)
        case "demo":
            return bool(settings.DEMO_MODEL)
        case _:
            return False


def _make(provider: str) -> Provider:
    # The SDKs are heavy (55 MB for the first, 13 MB for the second) and only processes that call a model need them.
    match provider:
        case "anthropic":
            from threads.providers.anthropic import AnthropicProvider

            return AnthropicProvider(settings.ANTHROPIC_API_KEYS, settings.ANTHROPIC_BASE_URL)
        case "openai":
            from threads.providers.openai import OpenAIProvider

            return OpenAIProvider(settings.OPENAI_API_KEYS, settings.OPENAI_BASE_URL, Vendor("OpenAI", "OPENAI_API_KEY"))
        case "ollama":
            from threads.providers.openai import OpenAIProvider

            return OpenAIProvider(["ollama"], f"{settings.OLLAMA_BASE_URL}/v1", Vendor("Ollama", "OLLAMA_BASE_URL"))
        case "demo":
            from threads.providers.demo import DemoProvider

            return DemoProvider()
        case _:
            raise LookupError(f"no adapter is called {provider!r}")


def _info(row: CatalogModel) -> ModelInfo:
    return ModelInfo(
        slug=row.slug,
        label=row.label,
        provider=row.provider,
        upstream=row.upstream,
        context_window=row.context_window,
        default_max_tokens=row.default_max_tokens,
        max_output_tokens=row.max_output_tokens,
        price=row.price,
        thinking=row.thinking,
        tools=row.tools,
        vision=row.vision,
        prefill=row.prefill,
    )
