"""Stands in for a model that was taken out of the catalogue while a turn waited for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threads.providers.base import ModelInfo, ProviderError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from threads.blocks import Event
    from threads.providers.base import Request


def gone_info(slug: str) -> ModelInfo:
    return ModelInfo(slug=slug, label=slug, provider="", upstream="", context_window=1, default_max_tokens=1, max_output_tokens=1, price={})


class GoneProvider:
    """Refuses every call with a sentence for the person."""

    async def stream(self, request: Request) -> AsyncIterator[list[Event]]:
        raise ProviderError("not_found", "This model is no longer available here. Choose another one and send again.", False)
        yield  # makes this an async generator

    async def close(self) -> None:
        """Nothing is open."""
