"""A row of the table: what the model says, what the vendor must get, what it answers, what the model is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.tools.catalogue.vendor import Answer


@dataclass(frozen=True)
class Exchange:
    line: str  # "POST https://api.github.com/repos/…"
    answers: Any = None
    query: Mapping[str, Any] = field(default_factory=dict)  # lists are repeated names
    sends: Any = None  # JSON, or bytes as they are
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200

    @property
    def answer(self) -> Answer:
        return Answer(self.answers, self.status)

    @property
    def host(self) -> str:
        return self.line.split("/")[2]

    def query_pairs(self) -> list[tuple[str, str]]:
        return [(name, one) for name, value in self.query.items() for one in (value if isinstance(value, list) else [value])]


@dataclass(frozen=True)
class Case:
    tool: str
    arguments: Mapping[str, Any]
    exchanges: tuple[Exchange, ...]
    gives: Any
    account: str = ""  # where it does not follow from the tool's name

    def __str__(self) -> str:
        return f"{self.tool} {self.account}".strip()


def case(tool: str, arguments: Mapping[str, Any], *exchanges: Exchange, gives: Any, account: str = "") -> Case:
    return Case(tool, arguments, exchanges, gives, account)


@dataclass(frozen=True)
class Account:
    """A connection, what of it every request of its tools carries, and how the vendor says no in its own way."""

    config: Mapping[str, Any]
    headers: Mapping[str, str]
    refusal: Answer
    words: str  # of the refusal, that the model must be told
