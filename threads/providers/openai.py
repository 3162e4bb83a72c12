"""Chat completions at OpenAI and at every server that speaks them (Ollama, vLLM, OpenRouter …), as the official SDK asks
them (see `transport.py`); the stream is read as raw lines (see `anthropic.py`)."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
from django.conf import settings
from openai import AsyncOpenAI

from threads.blocks import Event
from threads.providers.base import Request
from threads.providers.failures import Vendor
from threads.providers.history import ToolNames
from threads.providers.openai_history import translate
from threads.providers.openai_reader import Reader
from threads.providers.transport import Made, Posts, Refused, Unreachable, made_by
from threads.providers.wire import Keys, Payloads, read_all, with_retries

OPTIONS = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "response_format", "reasoning_effort", "service_tier")
# Hosts that know `max_completion_tokens`; the others are told `max_tokens`, which every server understands.
NEWER_HOSTS = (".openai.com", ".openai.azure.com")
DEARER_TIERS = ("priority", "scale")  # cost more than the price people are charged by
AFTER_FINISH_SECONDS = 3.0  # what is waited for usage figures and [DONE] once the answer is complete
UNSUPPORTED = re.compile(r"unsupported|not supported|unrecognized|unknown|unexpected|extra|not permitted|does not support", re.IGNORECASE)
EFFORTS = ((4_000, "low"), (16_000, "medium"))  # thinking budgets in tokens, up to


class OpenAIProvider:
    """One connection pool for all keys of one server."""

    def __init__(self, keys: list[str], base_url: str, vendor: Vendor) -> None:
        self.vendor = vendor
        self.posts = Posts(settings.PROVIDER_CONNECT_TIMEOUT)
        self.base_url = base_url
        self.keys = Keys(keys)
        self.made: dict[int, Made] = {}  # what is sent with each of them
        self.newer = f".{urlsplit(base_url).hostname}".endswith(NEWER_HOSTS)
        self.unknown: dict[str, set[str]] = {}  # by upstream model: parameters that the server has refused

    def stream(self, request: Request) -> AsyncIterator[list[Event]]:
        names = ToolNames(request.tools)
        try:
            body = request_body(request, names)
        except (AttributeError, KeyError, TypeError) as error:
            raise self.vendor.error("invalid", request.model, f"history that cannot be translated: {error!r}") from error
        return with_retries(lambda key: self._attempt(key, request, names, body), self.keys)

    async def close(self) -> None:
        await self.posts.close()

    async def _attempt(self, key: int, request: Request, names: ToolNames, body: dict[str, Any]) -> AsyncGenerator[list[Event]]:
        model = request.model
        try:
            response = await self._open(key, body)
            payloads = Payloads(response, settings.PROVIDER_FIRST_TOKEN_TIMEOUT)
            try:
                reader = Reader(self.vendor, request, names)
                try:
                    while not reader.done and (batch := await payloads.batch()) is not None:
                        events, problem = read_all(reader.read, batch)
                        if events:
                            yield events
                        if problem is not None:
                            raise problem
                        if reader.finished:
                            payloads.bear(AFTER_FINISH_SECONDS)
                        elif reader.begun:
                            payloads.bear(settings.PROVIDER_IDLE_TIMEOUT)
                except (TimeoutError, httpx2.HTTPError):
                    # Some servers neither end the stream nor say [DONE]; the answer is complete all the same.
                    if not reader.finished:
                        raise
                if not reader.finished and not reader.done:
                    raise self.vendor.error("cut", model, "the stream ended without a finish reason")
                yield reader.end()
                await payloads.drain()
            finally:
                payloads.close()
                await response.aclose()
        except Refused as error:
            raise self.vendor.refusal(model, error.status, error.headers, error.body) from error
        except Unreachable as error:
            raise self.vendor.error("connection", model, str(error)) from error
        except httpx2.ConnectTimeout as error:
            raise self.vendor.error("connection", model, "connecting took too long") from error
        except TimeoutError as error:
            raise self.vendor.error("timeout", model, "no byte within the time limit") from error
        except httpx2.HTTPError as error:
            raise self.vendor.error("cut", model, type(error).__name__) from error
        except (msgspec.MsgspecError, ValueError) as error:
            raise self.vendor.error("malformed", model, type(error).__name__) from error

    async def _open(self, key: int, body: dict[str, Any]) -> httpx2.Response:
        """The response whose stream begins. A parameter that the server refuses by name is left out, now and from then on."""
        if key not in self.made:
            self.made[key] = await made_by(AsyncOpenAI, "/chat/completions", api_key=self.keys.keys[key], base_url=self.base_url)
        refused = self.unknown.setdefault(body["model"], set())
        while True:
            try:
                async with asyncio.timeout(settings.PROVIDER_FIRST_TOKEN_TIMEOUT):
                    return await self.posts.send(self.made[key], msgspec.json.encode(spelled(body, self.newer, refused)))
            except Refused as error:
                name = refused_parameter(error, body, self.newer)
                if name is None or name in refused:
                    raise
                refused.add(name)


def request_body(request: Request, names: ToolNames) -> dict[str, Any]:
    """The JSON of the call; the limit is spelled `max_tokens` until `spelled` knows the server."""
    body: dict[str, Any] = {
        "model": request.model.upstream,
        "messages": translate(request, names),
        "max_tokens": request.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        body["tools"] = [_tool(tool, names) for tool in request.tools]
        body.update(_tool_choice(request.options.get("tool_choice"), names))
    if request.options.get("stop_sequences"):
        body["stop"] = request.options["stop_sequences"]
    thinking = request.options.get("thinking") or {}
    if thinking.get("type") == "enabled" and request.model.thinking:
        budget = thinking.get("budget_tokens", 0)
        body["reasoning_effort"] = next((effort for limit, effort in EFFORTS if budget <= limit), "high")
    body.update({name: request.options[name] for name in OPTIONS if name in request.options})
    if body.get("service_tier") in DEARER_TIERS:
        del body["service_tier"]
    return body


def spelled(body: dict[str, Any], newer: bool, refused: set[str]) -> dict[str, Any]:
    """The body with the name for the limit that this server knows, and without what it refused for this model."""
    limit = "max_completion_tokens" if newer else "max_tokens"
    if limit in refused:
        limit = "max_tokens" if newer else "max_completion_tokens"
    out = {("max_completion_tokens" if name == "max_tokens" else name): value for name, value in body.items()}
    out[limit] = out.pop("max_completion_tokens")
    if "stream_options" in refused:
        del out["stream_options"]
    return out


def refused_parameter(error: Refused, body: dict[str, Any], newer: bool) -> str | None:
    """The name of a parameter that this server or model does not know, if it is one we can do without or spell otherwise."""
    text = json.dumps(error.body)
    if error.status not in (400, 422) or not UNSUPPORTED.search(text):
        return None
    sent = spelled(body, newer, set())
    return next((name for name in ("stream_options", "max_completion_tokens", "max_tokens") if name in sent and name in text), None)


def _tool(tool: dict[str, Any], names: ToolNames) -> dict[str, Any]:
    function = {"name": names.encode(tool["name"]), "description": tool.get("description", ""), "parameters": tool["input_schema"]}
    return {"type": "function", "function": function}


def _tool_choice(choice: dict[str, Any] | None, names: ToolNames) -> dict[str, Any]:
    """Anthropic's tool_choice in OpenAI's words."""
    if not choice:
        return {}
    match choice.get("type"):
        case "tool":
            wanted: Any = {"type": "function", "function": {"name": names.encode(choice["name"])}}
        case "any":
            wanted = "required"
        case "none":
            wanted = "none"
        case _:
            wanted = "auto"
    return {"tool_choice": wanted, **({"parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") else {})}
