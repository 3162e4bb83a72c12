"""The values of a turn's end, and what may be asked for then. Pure but for the broker."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Literal

from celery import current_app
from kombu.exceptions import OperationalError as BrokerError

from chatai.lib.postgres import array, text_array
from threads.blocks import Block, Event, TurnDone, TurnError, dump_event
from threads.replies.store import as_json

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from threads.providers.base import ProviderError
    from threads.replies.claims import Claimed
    from threads.replies.journal import Line
    from threads.replies.purse import Purse

logger = logging.getLogger(__name__)

Ending = Literal["done", "stopped", "failed", "interrupted"]


def last_events(
    ending: Ending, error: ProviderError | None, claimed: Claimed, cost: int, iterations: int, hit_max: bool
) -> list[TurnError | TurnDone]:
    """How the stream closes."""
    done = TurnDone(
        iterations=iterations,
        hit_max_iterations=hit_max,
        incomplete=None if ending == "done" else True,
        cost_micros=cost,
        seq=claimed.answer_seq,
        thread_id=str(claimed.thread_id),
    )
    if error is None:
        return [done]
    return [TurnError(message=error.message, status=error.status, kind=error.kind, retry_after=_whole(error.retry_after)), done]


def finish_values(
    ending: Ending,
    error: ProviderError | None,
    claimed: Claimed,
    purse: Purse,
    provider: str,
    content: list[Block],
    line: Line,
    events: list[Event],
    first_token_at: datetime | None,
) -> dict[str, Any]:
    """Parameters of `store.FINISH`, but for the epoch and what the loop of tools knows. The line's outline has the events already."""
    money = purse.closing(provider, content)
    return money | {
        "turn": claimed.id,
        "thread": claimed.thread_id,
        "answer": claimed.answer_id,
        "status": ending,
        "message_status": "complete" if ending == "done" else ending,
        "error_kind": error.kind if error else "",
        "error_message": error.message if error else "",
        "retry_after": _whole(error.retry_after) if error else None,
        "content": as_json(content),
        "usage": as_json(purse.usage()),
        "turn_cost": money["cost"] + purse.tools_cost,
        "answer_usage": as_json(purse.iteration_usage()),
        "answer_cost": purse.iteration_cost(),
        "first_token_at": first_token_at,
        "worth_title": _has_text(content),
        "indexes": array(range(line.index, line.index + len(events))),
        "payloads": text_array(dump_event(event) for event in events),
        "outline": bytes(line.outline.data),
    }


def ask_for_title(thread_id: UUID) -> None:
    try:
        current_app.send_task("threads.name_thread", [str(thread_id)], retry=False)
    except BrokerError as error:  # a sweeper finds the thread later
        logger.warning("title of %s not asked for: %s", thread_id, type(error).__name__)


def _whole(seconds: float | None) -> int | None:
    """For people and headers: never shorter than what was asked for, and never nothing."""
    return None if seconds is None else max(1, math.ceil(seconds))


def _has_text(content: list[Block]) -> bool:
    return any(block["type"] == "text" and block["text"].strip() for block in content)
