"""Cards of calls while their turn runs: each is drawn again when something was said of its call."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from threads.blocks import ApprovalRequired, ApprovalResolved, ToolDone, ToolStart
from threads.live import cards

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

    from threads.blocks import Block


class LiveCard:
    """One call as it is now."""

    def __init__(self, call: cards.Call) -> None:
        self.id = cards.dom_id(call.turn_id, call.tool_use_id)
        self.call = call
        self._html: SafeString | None = None

    @property
    def html(self) -> SafeString:
        if self._html is None:
            self._html = cards.draw(self.call)
        return self._html

    def becomes(self, call: cards.Call) -> None:
        self.call, self._html = call, None


class LiveCards:
    """Those of one turn, and in which order they changed."""

    def __init__(self, turn_id: UUID) -> None:
        self.turn_id = turn_id
        self.by_call: dict[str, LiveCard] = {}
        self.changes: list[LiveCard] = []

    def add(self, block: Block) -> LiveCard:
        """The card of a `tool_use` block that has just ended."""
        card = self.by_call[block["id"]] = LiveCard(cards.of_block(self.turn_id, block))
        return card

    def take(self, event: ToolStart | ToolDone | ApprovalRequired | ApprovalResolved) -> None:
        """Something was said of a call."""
        card = self.by_call.get(event.tool_use_id)
        if card is None:
            return
        card.becomes(_after(card.call, event))
        self.changes.append(card)


def _after(call: cards.Call, event: ToolStart | ToolDone | ApprovalRequired | ApprovalResolved) -> cards.Call:
    match event:
        case ToolStart():
            return replace(call, state=cards.State.WAITING if call.asks else cards.State.RUNNING)
        case ToolDone():
            state = cards.State.FAILED if event.is_error else cards.State.DONE
            if event.error_kind == "denied":
                state = cards.State.DENIED
            seconds = None if event.ms is None else event.ms / 1000
            return replace(call, state=state, output=event.output, seconds=seconds, pictures=event.files or (), asks=())
        case ApprovalRequired():
            return replace(call, state=cards.State.WAITING, asks=(*call.asks, _ask(event)))
        case ApprovalResolved():
            asks = tuple(ask for ask in call.asks if str(ask.id) != event.approval_id)
            return replace(call, state=call.state if asks else cards.State.RUNNING, asks=asks)


def _ask(event: ApprovalRequired) -> cards.Ask:
    return cards.Ask(
        id=UUID(event.approval_id),
        token=event.token,
        expires_at=datetime.fromtimestamp(event.expires_at / 1000, UTC),
        kind="form" if event.kind == "form" else "approval",
        name=event.name,
        arguments=event.arguments,
        message=event.message or "",
        schema=event.schema or {},
        changed=event.changed,
    )
