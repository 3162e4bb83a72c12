"""What a tool is, who calls it, and what came of it: pure values that every kind of tool shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

Kind = Literal["builtin", "webhook", "mcp", "meta", "client"]
AuthMode = Literal["none", "tenant", "per_user", "either"]
Verdict = Literal["allow", "ask", "deny"]
JsonSchema = Mapping[str, Any]

MOST_RESULT_BYTES = 64 * 1024  # of one tool_result towards the model; longer ones are cut with a note


@dataclass(frozen=True, slots=True)
class Tool:
    """Something the model may call."""

    name: str  # as the model and the events say it: "calculator", "linear/create_issue"
    description: str
    input_schema: JsonSchema
    kind: Kind
    writes: bool = True  # changes something outside; asked about first unless a rule says otherwise
    repeatable: bool = False  # may be run again when nobody knows whether it ran
    seconds: float = 30.0  # one call, retries included
    price_micros: int = 0  # of one call
    version: str = ""  # changes with the description, the schema or what it does; an approval is for one version
    source: str = ""  # what runs it: a built-in's slug, or the id of a row (webhook, MCP tool)
    provider: str = ""  # the built-in behind it, "qlaud-builtin/http-call", whatever it is called here; rules fit that too
    unconfirmed: bool = False  # its description or schema changed since a person agreed to it: asked about whatever a rule allows


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a search over tools may find: a tool, or a service whose tools are there once it is connected."""

    name: str
    description: str
    kind: Kind
    connected: bool | None = None  # None: nothing to connect


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a tool runs. Everything here is trusted; nothing of it comes from the model but `tool_use_id`."""

    user_id: UUID
    key_id: UUID | None = None
    end_user_id: str | None = None
    thread_id: UUID | None = None
    turn_id: UUID | None = None
    request_id: str = ""
    tool_use_id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)  # of the thread, as its maker set it
    ask: Callable[[Question], Awaitable[Answer]] | None = None  # a form for the person, where one can be shown


@dataclass(frozen=True, slots=True)
class Question:
    """What a tool wants to know from the person while it runs (MCP's elicitation)."""

    message: str
    schema: JsonSchema  # flat object of primitive properties
    asked_by: str  # the tool's or server's name


@dataclass(frozen=True, slots=True)
class Answer:
    action: Literal["accept", "decline", "cancel"]
    content: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back: always one per call, whatever happened."""

    output: Any  # a string as it is, other JSON as it is; what the API's events show
    is_error: bool = False
    blocks: tuple[Mapping[str, Any], ...] = ()  # pictures and files for the person, in the shape of content blocks
    http_status: int | None = None
    attempts: int = 1
    credential: str = ""  # which one was used, never the secret: "tenant", "connection <id>"
    error_kind: str = ""  # unknown | invalid | denied | timeout | crash | refused | unavailable | not_connected | interrupted
    cut: bool = False


class ToolError(Exception):
    """A failure the model is told about, in a sentence without secrets."""

    def __init__(self, message: str, kind: str = "crash", http_status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.http_status = http_status
