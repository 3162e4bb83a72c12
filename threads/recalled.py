"""What was said of the calls of a turn, told again from its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from threads.blocks import ApprovalRequired, ApprovalResolved, ToolDone, ToolStart

if TYPE_CHECKING:
    from threads.blocks import Block, ToolEvent
    from threads.models import Approval, Message, ToolCall


class Recalled:
    """Calls are numbered as they stand in the messages, questions as they were asked."""

    def __init__(self, rows: list[Message], calls: list[ToolCall], approvals: list[Approval]) -> None:
        self.uses: list[tuple[int, Block]] = []  # (iteration, block)
        self.results: dict[str, Block] = {}
        iteration = 0
        for row in rows:
            iteration += row.role == "assistant"
            self.uses += [(iteration, block) for block in row.content if block["type"] == "tool_use"]
            self.results |= {block["tool_use_id"]: block for block in row.content if block["type"] == "tool_result"}
        self.by_use = {call.tool_use_id: call for call in calls}
        self.by_id = {call.pk: call for call in calls}
        self.approvals = approvals

    def event(self, number: int, said: int) -> ToolEvent:
        """0: it started, 1: it was done, 2: a person was asked, 3: they answered."""
        if said >= 2:
            return self._question(number, asked=said == 2)
        iteration, use = self.uses[number] if number < len(self.uses) else (1, {"id": "", "name": ""})
        if said == 0:
            return ToolStart(iteration, use["id"], use["name"])
        call, result = self.by_use.get(use["id"]), self.results.get(use["id"], {})
        return ToolDone(
            iteration=iteration,
            tool_use_id=use["id"],
            name=use["name"],
            is_error=bool(result.get("is_error")),
            output=call.result if call else result.get("content"),
            ms=_ms(call),
            error_kind=(call.error_kind or None) if call else None,
            files=(call.blocks or None) if call else None,
        )

    def _question(self, number: int, asked: bool) -> ToolEvent:
        """Without its token: it is closed."""
        if number >= len(self.approvals):  # a copy of a turn has no questions
            return ApprovalResolved(1, "", "", "")
        one = self.approvals[number]
        call = self.by_id[one.call_id]
        top = self.by_id.get(call.parent_id, call) if call.parent_id else call
        if not asked:
            return ApprovalResolved(call.iteration, top.tool_use_id, str(one.pk), one.decision or one.state)
        told: dict[str, Any] = one.question or {}
        return ApprovalRequired(
            iteration=call.iteration,
            tool_use_id=top.tool_use_id,
            approval_id=str(one.pk),
            kind=one.kind,
            name=told.get("asked_by") or call.name,
            arguments=one.arguments,
            token="",
            expires_at=int(one.expires_at.timestamp() * 1000),
            message=told.get("message"),
            schema=told.get("schema"),
            changed=bool(told.get("changed")),
        )


def _ms(call: ToolCall | None) -> int | None:
    if call is None or call.started_at is None or call.finished_at is None:
        return None
    return round((call.finished_at - call.started_at).total_seconds() * 1000)
