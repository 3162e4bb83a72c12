"""Rows as the API shows them (contract, sections 4, 5.3 and 7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from threads.blocks import Block
from threads.models import Compaction, Message, Thread, Turn


def millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _type_first(block: Block) -> Block:
    # jsonb keeps no order of keys; readers of raw bytes expect this one in front.
    return {"type": block.get("type"), **block}


def thread_row(thread: Thread) -> dict[str, Any]:
    return {
        "id": str(thread.pk),
        "object": "thread",
        "end_user_id": thread.end_user_id,
        "metadata": thread.metadata,
        "title": thread.title or None,
        "default_model": thread.model or None,
        "created_at": millis(thread.created_at),
        "last_active_at": millis(thread.last_active_at),
    }


def message_row(message: Message, turn: Turn, end_user_id: str | None) -> dict[str, Any]:
    asked = message.role == Message.Role.USER
    return {
        "seq": message.seq,
        "role": message.role,
        "content": [_type_first(block) for block in message.content],
        "request_id": turn.request_id,
        "created_at": millis(message.created_at),
        "status": message.status,
        "model": turn.model,
        "stop_reason": None if asked else (message.stop_reason or None),
        "usage": None if asked else message.usage,
        "cost_micros": message.cost_micros,
        "end_user_id": end_user_id,
        "turn_id": str(turn.pk),
    }


def final_message(message: Message, turn: Turn) -> dict[str, Any]:
    """The answer of a finished turn, or of one that waits for a person, as a call without streaming gets it (decision 8)."""
    usage = {"input_tokens": 0, "output_tokens": 0, **(turn.usage if turn.over else message.usage or {})}
    return {
        "id": f"msg_{message.pk.hex}",
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": [_type_first(block) for block in message.content],
        "stop_reason": message.stop_reason or None,
        "stop_sequence": None,
        "usage": usage,
        "qlaud": {
            "thread_id": str(turn.thread_id),
            "turn_id": str(turn.pk),
            "seq": message.seq,
            "iterations": turn.iterations,
            "hit_max_iterations": turn.hit_max_iterations,
            "cost_micros": turn.cost_micros,
            "request_id": turn.request_id,
            "status": turn.status,
        },
    }


def compaction_row(compaction: Compaction | None) -> dict[str, Any] | None:
    if compaction is None:
        return None
    return {"summary": compaction.summary, "summarized_through_seq": compaction.through_seq}
