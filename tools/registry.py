"""Built-in tools by slug. Other apps add theirs here when they are ready (search: its search over conversations)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tools.values import AuthMode, Caller, JsonSchema, Outcome

NO_CONFIG: JsonSchema = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Use:
    """One run: who calls, and the settings or credentials it runs with (decrypted, for this run only)."""

    caller: Caller
    config: Mapping[str, Any] = field(default_factory=dict)


Run = Callable[[dict[str, Any], Use], Awaitable[Any]]  # arguments fit the schema; returns an Outcome or its bare output


@dataclass(frozen=True, slots=True)
class Builtin:
    """A tool that comes with the product. `run` raises ToolError for what the model should hear."""

    slug: str  # "linear-create-issue"; on the wire "qlaud-builtin/linear-create-issue"
    display_name: str
    description: str
    brand: str  # whose service it is; "chatai" for none
    input_schema: JsonSchema
    run: Run
    config_schema: JsonSchema = field(default_factory=lambda: NO_CONFIG)
    auth_mode: AuthMode = "none"  # "none": works without an account
    writes: bool = True
    repeatable: bool = False
    seconds: float = 30.0
    price_micros: int = 0
    connection: str = ""  # tools with the same word share one connection: "linear", "github"
    ready: Callable[[], bool] | None = None  # whether the operator set it up, so that it works without an account too

    @property
    def open(self) -> bool:
        """Whether it runs with no configuration of its own. `price_micros` is charged only then: who brings a key pays its owner."""
        return self.auth_mode == "none" if self.ready is None else self.ready()

    @property
    def service(self) -> str:
        """What connections for it are filed under."""
        return f"builtin/{self.connection or self.slug}"


_builtins: dict[str, Builtin] = {}


def register(builtin: Builtin) -> None:
    """Raises ValueError when the slug is taken."""
    if builtin.slug in _builtins:
        raise ValueError(f"two built-in tools are called {builtin.slug!r}")
    _builtins[builtin.slug] = builtin


def builtin(slug: str) -> Builtin | None:
    return _builtins.get(slug.removeprefix("qlaud-builtin/"))


def builtins() -> list[Builtin]:
    return sorted(_builtins.values(), key=lambda one: one.slug)


def as_outcome(result: Any) -> Outcome:
    return result if isinstance(result, Outcome) else Outcome(result)
