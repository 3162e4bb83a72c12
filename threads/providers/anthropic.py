"""Anthropic's Messages API, as the official SDK asks it (see `transport.py`); the stream is read as raw lines.

Measured with a history of 30 messages: the SDK's own parsing costs twice the CPU of these lines per event.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import httpx2
import msgspec
from anthropic import AsyncAnthropic
from django.conf import settings

from threads.blocks import Block, BlockDelta, BlockStart, BlockStop, Event, MessageDelta, MessageStart, MessageStop, TextDelta
from threads.providers.base import ModelInfo, Request
from threads.providers.failures import Vendor
from threads.providers.history import Message, ToolNames, prepared, result_text
from threads.providers.transport import Made, Posts, Refused, Unreachable, made_by
from threads.providers.wire import Keys, Payloads, clean_json, read_all, with_retries

VENDOR = Vendor("Anthropic", "ANTHROPIC_API_KEY")
GONE = "Was used earlier in this conversation and is not available now."
OPTIONS = ("temperature", "top_p", "top_k", "stop_sequences", "thinking", "tool_choice", "output_config", "metadata", "service_tier")
TEXT_KEYS = ("type", "text", "cache_control", "citations")


class _Ping(msgspec.Struct, tag_field="type", tag="ping"):
    pass


class _Failure(msgspec.Struct, tag_field="type", tag="error"):
    error: dict[str, Any]


_Wire = MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | _Ping | _Failure
_decoder: msgspec.json.Decoder[_Wire] = msgspec.json.Decoder(_Wire)


class AnthropicProvider:
    """One connection pool for all keys."""

    def __init__(self, keys: list[str], base_url: str) -> None:
        self.posts = Posts(settings.PROVIDER_CONNECT_TIMEOUT)
        self.base_url = base_url
        self.keys = Keys(keys)
        self.made: dict[int, Made] = {}  # what is sent with each of them

    def stream(self, request: Request) -> AsyncIterator[list[Event]]:
        names = ToolNames(request.tools)
        try:
            body = msgspec.json.encode(request_body(request, names))
        except (AttributeError, KeyError, TypeError) as error:
            raise VENDOR.error("invalid", request.model, f"history that cannot be translated: {error!r}") from error
        return with_retries(lambda key: self._attempt(key, request, names, body), self.keys)

    async def close(self) -> None:
        await self.posts.close()

    async def _attempt(self, key: int, request: Request, names: ToolNames, body: bytes) -> AsyncGenerator[list[Event]]:
        model = request.model
        try:
            response = await self._open(key, body)
            payloads = Payloads(response, settings.PROVIDER_FIRST_TOKEN_TIMEOUT)
            try:
                reader = Reader(request, names)
                while not reader.done and (batch := await payloads.batch()) is not None:
                    events, problem = read_all(reader.read, batch)
                    if events:
                        yield events
                    if problem is not None:
                        raise problem
                    if reader.begun:
                        payloads.bear(settings.PROVIDER_IDLE_TIMEOUT)
                if not reader.done:
                    raise VENDOR.error("cut", model, "the stream ended without message_stop")
                await payloads.drain()
            finally:
                payloads.close()
                await response.aclose()
        except Refused as error:
            raise VENDOR.refusal(model, error.status, error.headers, error.body) from error
        except Unreachable as error:
            raise VENDOR.error("connection", model, str(error)) from error
        except httpx2.ConnectTimeout as error:
            raise VENDOR.error("connection", model, "connecting took too long") from error
        except TimeoutError as error:
            raise VENDOR.error("timeout", model, "no byte within the time limit") from error
        except httpx2.HTTPError as error:
            raise VENDOR.error("cut", model, type(error).__name__) from error
        except (msgspec.MsgspecError, ValueError) as error:
            raise VENDOR.error("malformed", model, type(error).__name__) from error

    async def _open(self, key: int, body: bytes) -> httpx2.Response:
        """The response whose stream begins."""
        if key not in self.made:
            self.made[key] = await made_by(AsyncAnthropic, "/v1/messages", api_key=self.keys.keys[key], base_url=self.base_url)
        async with asyncio.timeout(settings.PROVIDER_FIRST_TOKEN_TIMEOUT):
            return await self.posts.send(self.made[key], body)


class Reader:
    """Turns payloads into canonical events, checking what the rest relies on: blocks are numbered without a gap."""

    def __init__(self, request: Request, names: ToolNames) -> None:
        self.model = request.model
        self.names = names
        self.blocks = 0
        self.begun = False
        self.done = False
        self.owed = _cut_whitespace(request)

    def read(self, payload: bytes) -> Sequence[Event]:
        """The event, or nothing for what has no meaning here. Raises ProviderError, or ValueError for what is not the protocol."""
        try:
            event = _decoder.decode(clean_json(payload))
        except msgspec.ValidationError:
            return _unusual(payload)
        match event:
            case BlockDelta(index, delta):
                self._check(index < self.blocks)
                self.begun = True
                if self.owed and isinstance(delta, TextDelta):
                    delta.text, self.owed = _without_owed(delta.text, self.owed), ""
            case BlockStart(index, block):
                self._check(index == self.blocks)
                self.blocks += 1
                if block.get("type") == "tool_use":
                    block["name"] = self.names.decode(block["name"])
            case BlockStop(index):
                self._check(index < self.blocks)
            case MessageStart(message):
                message["model"] = self.model.slug
            case MessageStop():
                self.done = True
            case _Failure():
                raise VENDOR.refusal(self.model, None, {}, {"error": event.error})
            case _Ping():
                return ()
        return (event,)

    def _check(self, fits: bool) -> None:
        if not fits:
            raise ValueError("a block out of order")


def _unusual(payload: bytes) -> Sequence[Event]:
    """JSON that is none of the known events: newer kinds are passed over, known ones may lack a part we can do without."""
    event = msgspec.json.decode(clean_json(payload))
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ValueError("not an event")
    if event["type"] == "message_delta" and isinstance(event.get("delta"), dict):
        return (MessageDelta(event["delta"], event.get("usage") or {}),)
    if event["type"] in ("message_start", "content_block_start", "content_block_stop"):
        raise ValueError(f"{event['type']} without its parts")
    return ()


def request_body(request: Request, names: ToolNames) -> dict[str, Any]:
    """The JSON of the call."""
    messages = translate(request.messages, request.model, names)
    body: dict[str, Any] = {"model": request.model.upstream, "max_tokens": request.max_tokens, "messages": messages, "stream": True}
    if request.system:
        body["system"] = request.system if isinstance(request.system, str) else [_cached_briefly(block) for block in request.system]
    if request.tools:
        body["tools"] = [_cached_briefly({**tool, "name": names.encode(tool["name"])}) for tool in request.tools]
    body.update({name: request.options[name] for name in OPTIONS if name in request.options})
    if not request.tools and (used := _used(messages)):
        # The API refuses calls in a history whose tools it is not told of; these are not to be called again.
        body["tools"] = [{"name": name, "description": GONE, "input_schema": {"type": "object"}} for name in used]
        body["tool_choice"] = {"type": "none"}
    if messages and messages[-1]["role"] == "assistant":
        body.pop("thinking", None)  # a started answer cannot be thought about; the API refuses both together
    return body


def translate(messages: list[Message], model: ModelInfo, names: ToolNames) -> list[Message]:
    """Canonical history as the API takes it."""
    out = prepared(messages, lambda block: (known := _block(block, model, names)) and _cached_briefly(known))
    if out and out[-1]["role"] == "assistant" and out[-1]["content"][-1]["type"] == "text":
        last = out[-1]["content"][-1]
        out[-1]["content"][-1] = {**last, "text": last["text"].rstrip()}  # the API refuses white space there
    return out


def _used(messages: list[Message]) -> list[str]:
    """Names of the tools that were called before."""
    calls = (block for message in messages for block in message["content"] if block["type"] == "tool_use")
    return sorted({block["name"] for block in calls})


def _block(block: Block, model: ModelInfo, names: ToolNames) -> Block | None:
    match block.get("type"):
        case "text":
            return {key: block[key] for key in TEXT_KEYS if block.get(key)}
        case "image" | "document" if not model.vision:
            return {"type": "text", "text": f"[{block['type']}: this model cannot read it]"}
        case "image" | "document":
            return block
        case "thinking":
            # Only what Anthropic signed is taken back.
            return block if block.get("signature") else None
        case "redacted_thinking":
            return block if block.get("data") else None
        case "tool_use":
            return {"type": "tool_use", "id": _id(block["id"]), "name": names.encode(block["name"]), "input": block.get("input") or {}}
        case "tool_result":
            content = block.get("content") if model.vision else result_text(block)
            result = {"type": "tool_result", "tool_use_id": _id(block["tool_use_id"]), "content": content or "(empty)"}
            return {**result, "is_error": True} if block.get("is_error") else result
        case _:
            return None


def _cached_briefly(block: Block) -> Block:
    """Without a lifetime for the cache: one of an hour costs more than the price people are charged by."""
    return {**block, "cache_control": {"type": "ephemeral"}} if "ttl" in (block.get("cache_control") or ()) else block


def _id(id_: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", id_)


def _cut_whitespace(request: Request) -> str:
    """White space that `translate` takes from the end of a partial answer; its continuation may bring it again."""
    last = request.messages[-1]
    text: str = last["content"][-1].get("text", "") if last["role"] == "assistant" and last["content"] else ""
    return text[len(text.rstrip()) :]


def _without_owed(text: str, owed: str) -> str:
    """A continuation without the white space that its beginning ends with already."""
    for size in range(min(len(owed), len(text)), 0, -1):
        if owed.endswith(text[:size]):
            return text[size:]
    return text
