"""The adapters against the scripted provider, for the tests of this folder."""

import functools
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from bench.provider import Server, start
from threads.blocks import Event, Partial
from threads.providers.anthropic import AnthropicProvider
from threads.providers.base import ModelInfo, Provider, Request
from threads.providers.failures import Vendor
from threads.providers.openai import OpenAIProvider

SECRET_KEY = "sk-very-secret-0123456789"

MODEL = ModelInfo(
    slug="scripted",
    label="Scripted",
    provider="test",
    upstream="scripted-upstream",
    context_window=10_000,
    default_max_tokens=1_000,
    max_output_tokens=2_000,
    price={},
    vision=True,
    prefill=True,
    thinking=True,
)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def assistant(*blocks: dict[str, Any] | str) -> dict[str, Any]:
    content = [{"type": "text", "text": block} if isinstance(block, str) else block for block in blocks]
    return {"role": "assistant", "content": content}


def asking(*messages: dict[str, Any] | str, **rest: Any) -> Request:
    turned = [user(message) if isinstance(message, str) else message for message in messages]
    return Request(**{"model": MODEL, "messages": turned, "max_tokens": 500, **rest})


@dataclass
class Bench:
    """One adapter and the server it talks to."""

    server: Server
    provider: Provider
    vendor: str

    async def ask(self, *messages: dict[str, Any] | str, **rest: Any) -> Partial:
        partial = Partial()
        async for event in told(self.provider, asking(*messages, **rest)):
            partial.add(event)
        return partial


async def events_of(provider: Provider, request: Request) -> list[Event]:
    return [event async for event in told(provider, request)]


async def told(provider: Provider, request: Request) -> AsyncIterator[Event]:
    """One event after the other, however many a read brought."""
    async with aclosing(provider.stream(request)) as batches:  # type: ignore[type-var]  # adapters' are generators
        async for events in batches:
            for event in events:
                yield event


# Each client reads two hundred certificates (35 ms of processor), and the provider of the tests speaks plain HTTP.
_certificates = functools.cache(ssl.create_default_context)


async def bench_for(vendor: str, keys: list[str]) -> AsyncIterator[Bench]:
    server = await start()
    make: dict[str, Callable[[], Provider]] = {
        "anthropic": lambda: AnthropicProvider(keys, server.base_url),
        "openai": lambda: OpenAIProvider(keys, f"{server.base_url}/v1", Vendor("OpenAI", "OPENAI_API_KEY")),
    }
    with patch("ssl.create_default_context", _certificates):
        provider = make[vendor]()
    yield Bench(server, provider, vendor)
    await provider.close()
    await server.close()
