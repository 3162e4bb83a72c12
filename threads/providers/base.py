"""What a provider adapter is: one method that yields canonical events, and the errors it may raise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from threads.blocks import Block, Event

ErrorKind = Literal[
    "authentication",  # the operator's key is missing or refused
    "billing",  # the operator's account with the provider is out of credit
    "rate_limit",
    "overloaded",
    "too_long",  # more than the context window
    "invalid",  # the provider refuses the request as such
    "refused",  # content policy
    "not_found",  # the provider does not know the model
    "timeout",
    "connection",
    "cut",  # the stream ended without its end
    "malformed",  # bytes that are not the protocol
    "server",
]


Unpaid = Literal["billing_error"]  # the person's own budget does not pay for the call: it was not made


class ProviderError(Exception):
    """A failed call. `message` is a sentence for the person; `detail` is for the log and admin, without secrets."""

    def __init__(
        self,
        kind: ErrorKind | Unpaid,
        message: str,
        retryable: bool,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after  # seconds, when the provider gave a hint
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One row of the catalogue, as adapters and the generating process see it."""

    slug: str
    label: str
    provider: str
    upstream: str
    context_window: int
    default_max_tokens: int
    max_output_tokens: int
    price: dict[str, str]  # USD per million tokens: input, output, cache_read, cache_write
    thinking: bool = False
    tools: bool = True
    vision: bool = False
    prefill: bool = False


def most_output(info: ModelInfo, options: Mapping[str, Any]) -> int:
    """Tokens that an answer to a send with these options can have."""
    return min(int(options.get("max_tokens") or 0) or info.default_max_tokens, info.max_output_tokens)


@dataclass(frozen=True, slots=True)
class Request:
    """One call: canonical history in, events out. Translation to the vendor's shape is the adapter's work."""

    model: ModelInfo
    messages: list[dict[str, Any]]  # {"role": "user"|"assistant", "content": [Block, …]}; a trailing assistant message is to be continued
    max_tokens: int
    system: str | list[Block] | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)  # {"name", "description", "input_schema"}
    options: dict[str, Any] = field(default_factory=dict)  # temperature, top_p, stop_sequences, thinking, tool_choice …


class Provider(Protocol):
    """An adapter. One instance per process; it owns its connection pool."""

    def stream(self, request: Request) -> AsyncIterator[list[Event]]:
        """Yield MessageStart, blocks, MessageDelta with cumulative usage, MessageStop. Raises ProviderError, nothing else.

        Each list is what one read brought: whoever asks seldom gets more at once. Text is clean (`blocks.clean_text`).
        Closing the iterator closes the connection to the provider.
        """
        ...

    async def close(self) -> None: ...
