"""One call of a tool while its turn is answered: what its row says, and what may be done with it next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from chatai.lib.ids import uuid7
from threads import edits
from threads.replies import results
from threads.replies.store import as_json
from tools.arguments import BadSchema, misfit
from tools.meta import EXECUTE, expand
from tools.rules import verdict
from tools.values import Outcome, Tool, ToolError

if TYPE_CHECKING:
    from datetime import datetime

    from threads.blocks import Block
    from threads.replies.store_tools import CallRow
    from threads.replies.toolbox import Toolbox


@dataclass(slots=True, kw_only=True)
class Call:
    iteration: int
    position: int
    tool_use_id: str
    name: str
    arguments: Any
    tool: Tool | None
    parent: Call | None = None
    id: UUID = field(default_factory=uuid7)
    inner: list[Call] = field(default_factory=list)
    kind: str = ""
    source: str = ""
    version: str = ""
    writes: bool = True
    repeatable: bool = False
    verdict: str = ""
    verdict_by: str = ""
    outcome: Outcome | None = None
    files: list[Block] = field(default_factory=list)
    output_bytes: int = 0
    cost_micros: int = 0
    ms: int | None = None
    attempts: int = 0
    started_at: datetime | None = None  # by an earlier process
    asked: bool = False  # a person, about this
    allowed: bool = False  # by a person, and not begun
    edited: bool = False
    interrupted: bool = False  # it ran when its process died, and must not run again
    stored: bool = False  # with its outcome
    link: tuple[int, bytes] | None = None  # its place in the chain

    @classmethod
    def of_row(cls, row: CallRow, parent: Call | None, tool: Tool | None) -> Self:
        call = cls(
            iteration=row.iteration,
            position=row.position,
            tool_use_id=row.tool_use_id,
            name=row.name,
            arguments=row.arguments,
            tool=tool,
            parent=parent,
            id=row.id,
            kind=row.kind,
            source=row.source,
            version=row.version,
            writes=row.writes,
            repeatable=row.repeatable,
            verdict=row.verdict,
            verdict_by=row.verdict_by,
            files=row.blocks,
            output_bytes=row.output_bytes,
            cost_micros=row.cost_micros,
            attempts=row.attempts,
            started_at=row.started_at,
        )
        if row.finished_at is not None:
            call.outcome, call.stored = Outcome(row.result, row.is_error, error_kind=row.error_kind), True
            call.ms = _ms(row)
        elif row.status == "running" and call.name != EXECUTE.name and row.kind != "client":
            call.interrupted = not (row.repeatable and tool is not None)
            call.allowed = not call.interrupted
        if parent is not None:
            parent.inner.append(call)
        return call

    @property
    def top(self) -> Call:
        """The call that the model made: itself, or the one it is inside of."""
        return self.parent or self

    @property
    def waits(self) -> bool:
        """For a person."""
        return self.outcome is None and self.verdict == "ask" and not self.allowed and self.attempts == 0

    def allow(self, edited: Any) -> None:
        self.allowed = True
        if edited is not None and edited != self.arguments:
            self.arguments, self.edited = edited, True

    def result(self) -> Block:
        """What the model is told."""
        assert self.outcome is not None
        notes = [edits.note(one.arguments) for one in [self, *self.inner] if one.edited]
        return results.tool_result(
            self.tool_use_id, self.outcome, [*self.files, *(file for one in self.inner for file in one.files)], notes
        )

    # --- as rows ------------------------------------------------------------------------------------------------------------

    def row(self) -> dict[str, Any]:
        """For RECORD."""
        status = "pending" if self.waits else "running" if self.outcome is None else "failed"
        return {
            "id": self.id,
            "parent_id": self.parent and self.parent.id,
            "tool_use_id": self.tool_use_id,
            "name": self.name,
            "kind": self.kind,
            "source": self.source,
            "version": self.version,
            "iteration": self.iteration,
            "position": self.position,
            "arguments": self.arguments,
            "writes": self.writes,
            "repeatable": self.repeatable,
            "verdict": self.verdict,
            "verdict_by": self.verdict_by,
            "status": status,
            "result": self.outcome and self.outcome.output,
            "is_error": bool(self.outcome and self.outcome.is_error),
            "error_kind": self.outcome.error_kind if self.outcome else "",
            "output_bytes": self.output_bytes,
            "chain_number": self.link and self.link[0],
            "chain_hash": self.link and self.link[1].hex(),
        }

    def ended(self) -> dict[str, Any]:
        """For END."""
        assert self.outcome is not None
        return {
            "call": self.id,
            "status": "failed" if self.outcome.is_error else "done",
            "result": as_json(self.outcome.output),
            "blocks": as_json(self.files),
            "is_error": self.outcome.is_error,
            "error_kind": self.outcome.error_kind,
            "credential": self.outcome.credential[:100],
            "http_status": self.outcome.http_status,
            "output_bytes": self.output_bytes,
            "cut": self.outcome.cut,
            "cost": self.cost_micros,
            "attempts": self.attempts,
            "verdict_by": self.verdict_by,
            "chain_number": self.link and self.link[0],
            "chain_hash": self.link and self.link[1],
        }

    def chained(self, turn_id: UUID) -> dict[str, Any]:
        """For the chain: every value as its row has it then."""
        assert self.outcome is not None
        same = {name: value for name, value in self.row().items() if name not in ("writes", "repeatable", "chain_number", "chain_hash")}
        ended = {
            name: value
            for name, value in self.ended().items()
            if name not in ("call", "blocks", "result", "cost", "chain_number", "chain_hash")
        }
        return same | ended | {"turn_id": turn_id, "cost_micros": self.cost_micros, "result": self.outcome.output}


async def judged(use: Block, iteration: int, position: int, toolbox: Toolbox, refuse: Outcome | None) -> list[Call]:
    """The call of a `tool_use` block and the calls inside of it, each with what may be done with it."""
    call = await _judged(use["id"], use["name"], use.get("input", {}), iteration, position, toolbox, refuse or _malformed(use))
    if call.outcome is not None or call.tool is not EXECUTE:
        toolbox.calls += 1
        return [call]
    try:
        parts = expand(call.arguments)
    except ToolError as error:
        call.outcome = Outcome(error.message, is_error=True, error_kind=error.kind)
        return [call]
    for number, (name, arguments) in enumerate(parts):
        place = position + 1 + number
        one = await _judged(f"{call.tool_use_id[:250]}/{number}", name, arguments, iteration, place, toolbox, None, call)
        call.inner.append(one)
        toolbox.calls += 1
    return [call, *call.inner]


async def _judged(
    use_id: str,
    name: str,
    arguments: Any,
    iteration: int,
    position: int,
    toolbox: Toolbox,
    refuse: Outcome | None,
    parent: Call | None = None,
) -> Call:
    arguments = results.plain(arguments)
    tool = await toolbox.find(name)
    call = Call(iteration=iteration, position=position, tool_use_id=use_id, name=name[:255], arguments=arguments, tool=tool, parent=parent)
    call.outcome = refuse
    if toolbox.full:
        call.outcome = call.outcome or results.TOO_MANY
    if tool is None or (parent is not None and tool is EXECUTE):  # one level is enough
        call.outcome = call.outcome or results.unknown(name)
        return call
    call.kind, call.source, call.version = tool.kind, tool.source[:255], tool.version[:80]
    call.writes, call.repeatable = tool.writes, tool.repeatable
    call.outcome = call.outcome or _misfit(tool, arguments)
    if call.outcome is None:
        ruling = await verdict(tool, arguments, toolbox.caller)
        call.verdict, call.verdict_by = ruling.verdict, ruling.by
        call.outcome = results.denied_by(ruling.by) if ruling.verdict == "deny" else None
    return call


def _misfit(tool: Tool, arguments: Any) -> Outcome | None:
    """A person is not asked about a call that cannot be made."""
    try:
        wrong = misfit(tool.input_schema, arguments)
    except BadSchema as error:
        wrong = f"The schema of {tool.name} cannot be used: {error}"
    return Outcome(wrong, is_error=True, error_kind="invalid") if wrong else None


def _malformed(use: Block) -> Outcome | None:
    return results.MALFORMED if "invalid_input" in use else None


def _ms(row: CallRow) -> int | None:
    if row.started_at is None or row.finished_at is None:
        return None
    return round((row.finished_at - row.started_at).total_seconds() * 1000)
