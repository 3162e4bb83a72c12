"""A turn's events for one reader who wants all of them: what SSE sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from threads.blocks import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    TurnDone,
    TurnError,
    dump_event,
    dump_json,
)
from threads.live.tailer import Tailer
from threads.models import Message, Turn

DONE = '{"type":"qlaud.done"'


class Follower:
    """Reads one turn's journal from `next_index` on, through the tailer."""

    def __init__(self, turn_id: UUID, ring: int, next_index: int) -> None:
        self.turn_id = turn_id
        self.ring = ring
        self.next_index = next_index
        self.ended = False
        self._fresh: list[tuple[int, str]] = []
        self._rung = asyncio.Event()

    def feed(self, payloads: list[str]) -> None:
        self._fresh += enumerate(payloads, self.next_index)
        self.next_index += len(payloads)
        self.ended = self.ended or any(payload.startswith(DONE) for payload in payloads)
        self._rung.set()

    async def batch(self, patience: float) -> list[tuple[int, str]]:
        """Events that have come, at least one; none when `patience` seconds brought nothing."""
        try:
            async with asyncio.timeout(patience):
                await self._rung.wait()
        except TimeoutError:
            return []
        self._rung.clear()
        fresh, self._fresh = self._fresh, []
        return fresh


async def follow(tailer: Tailer, turn: Turn, after: int, patience: float) -> AsyncIterator[list[tuple[int, str]]]:
    """Batches of (index, payload) behind index `after` until the end; an empty one after each `patience` seconds of silence."""
    assert turn.ring is not None
    follower = Follower(turn.pk, turn.ring, after + 1)
    async with tailer.reading(follower):
        while True:
            batch = await follower.batch(patience)
            yield batch
            if follower.ended and not follower._fresh:
                return


def synthesised(turn: Turn, answer: Message) -> list[str]:
    """The events of a turn whose journal is gone, from what was stored: each block in one piece."""
    usage = answer.usage or {}
    events: list[Event] = [MessageStart(_opening(turn, answer, usage))]
    for index, block in enumerate(answer.content):
        events += _bracket(index, block)
    events.append(MessageDelta({"stop_reason": answer.stop_reason or None, "stop_sequence": None}, usage))
    events.append(MessageStop())
    if turn.error_message:
        events.append(TurnError(message=turn.error_message, kind=turn.error_kind or None))
    done = TurnDone(
        iterations=1,
        hit_max_iterations=False,
        incomplete=None if turn.status == Turn.Status.DONE else True,
        cost_micros=turn.cost_micros,
        seq=answer.seq,
        thread_id=str(turn.thread_id),
    )
    return [dump_event(event) for event in (*events, done)]


def _opening(turn: Turn, answer: Message, usage: dict[str, int]) -> dict[str, object]:
    return {
        "id": f"msg_{answer.pk.hex}",
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": usage.get("input_tokens", 0), "output_tokens": 0},
    }


def _bracket(index: int, block: dict[str, object]) -> list[Event]:
    match block:
        case {"type": "text", "text": str(text)}:
            return [BlockStart(index, {"type": "text", "text": ""}), BlockDelta(index, TextDelta(text)), BlockStop(index)]
        case {"type": "thinking", "thinking": str(thinking)}:
            start = BlockStart(index, {"type": "thinking", "thinking": "", "signature": ""})
            signature = SignatureDelta(str(block.get("signature", "")))
            return [start, BlockDelta(index, ThinkingDelta(thinking)), BlockDelta(index, signature), BlockStop(index)]
        case {"type": "tool_use"}:
            arguments = InputJsonDelta(dump_json(block.get("input", {})))
            return [BlockStart(index, {**block, "input": {}}), BlockDelta(index, arguments), BlockStop(index)]
    return [BlockStart(index, dict(block)), BlockStop(index)]
