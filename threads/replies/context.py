"""What a turn's provider is sent: history, summarised when it nears the window, files in full, the system prompt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from channels.db import database_sync_to_async
from psycopg_pool import AsyncConnectionPool

from billing.estimate import input_bound
from billing.side_calls import SideCall
from chatai.lib import hints
from chatai.lib.ids import uuid7
from threads import compaction, history
from threads.attachments import has_files, inline
from threads.blocks import Partial, dump_json, text_of
from threads.compaction import HistoryRow
from threads.providers.base import ModelInfo, Provider, ProviderError, Request, most_output
from threads.replies import store
from threads.replies.claims import Claimed
from threads.replies.meter import CHARS_PER_TOKEN, Meter
from threads.replies.purse import reserve_side_call, settle_side_call
from threads.replies.toolbox import OURS

logger = logging.getLogger(__name__)

SUMMARY_SECONDS = 90
TaskModel = Callable[[], Awaitable[tuple[ModelInfo, Provider] | None]]


@dataclass(slots=True)
class Context:
    """Makes requests for turns of this process."""

    pool: AsyncConnectionPool[Any]
    task_model: TaskModel

    async def request(self, claimed: Claimed, info: ModelInfo, partial: Partial, tools: Sequence[dict[str, Any]] = ()) -> Request:
        """The next call for this turn; a partial answer of an earlier attempt goes along to be continued."""
        options = {name: value for name, value in claimed.options.items() if name not in OURS}
        max_tokens = most_output(info, options)
        options.pop("max_tokens", None)
        system = history.system_prompt(claimed.instructions, options.pop("system", None))
        summary, rows = await self._history(claimed, compaction.room_for_history(info.context_window, max_tokens))
        newest_first = [(row.role, row.content) for row in reversed(rows)]
        messages = history.build(newest_first, info, max_tokens)
        if summary:
            messages.insert(0, compaction.as_message(summary))
        if any(has_files(message["content"]) for message in messages):
            messages = await database_sync_to_async(_with_files)(messages)
        if partial.shown:
            messages.append({"role": "assistant", "content": partial.content()})
        return Request(model=info, messages=messages, max_tokens=max_tokens, system=system, tools=list(tools), options=options)

    async def _history(self, claimed: Claimed, room: int) -> tuple[str, list[HistoryRow]]:
        """The summary in force and the rows behind its cutoff, oldest first; made shorter when they near `room`."""
        if claimed.recent is not None:
            found = store.History("", undone=False, rows=claimed.recent)
            claimed.recent = None  # kept for no longer than it is needed
        else:
            found = await store.patiently(
                self.pool, lambda connection: store.history(connection, claimed.thread_id, claimed.answer_seq - 1, history.MOST_ROWS)
            )
        rows = [HistoryRow(*row) for row in found.rows]
        cut = None if found.undone or not claimed.side_calls else compaction.cutoff(rows, room)
        if cut is None:
            return found.summary, rows
        try:
            async with asyncio.timeout(SUMMARY_SECONDS):
                summary = await self._summarise(claimed, found.summary, [row for row in rows if row.seq <= cut], cut)
        except (ProviderError, TimeoutError) as error:
            # The newest messages that fit are sent instead, as for a thread that nobody may summarise.
            logger.warning("thread %s not summarised: %s", claimed.thread_id, getattr(error, "kind", "timeout"))
            return found.summary, rows
        return (summary, [row for row in rows if row.seq > cut]) if summary else (found.summary, rows)

    async def _summarise(self, claimed: Claimed, before: str, rows: list[HistoryRow], cut: int) -> str:
        task = await self.task_model()
        if task is None:
            return ""
        info, provider = task
        text = compaction.request_text(before, rows)[-compaction.room_for_history(info.context_window, compaction.SUMMARY_TOKENS) :]
        messages = [{"role": "user", "content": [{"type": "text", "text": text}]}]
        max_tokens = min(compaction.SUMMARY_TOKENS, info.max_output_tokens)
        request = Request(model=info, messages=messages, max_tokens=max_tokens, system=compaction.SYSTEM)
        call = SideCall(
            kind="summary",
            user_id=claimed.user_id,
            key_id=claimed.key_id,
            thread_id=claimed.thread_id,
            turn_id=claimed.id,
            provider=info.provider,
            model=info.slug,
            price=info.price,
            input_tokens=input_bound(messages, compaction.SYSTEM, [], info.context_window),
            max_tokens=max_tokens,
        )
        if not await reserve_side_call(self.pool, call):
            return ""
        answer, meter, cost = Partial(), Meter(), 0
        try:
            async for events in provider.stream(request):
                for event in events:
                    meter.add(event)
                    answer.add(event)
        finally:
            usage = meter.figures(call.input_tokens // CHARS_PER_TOKEN)
            cost = await settle_side_call(self.pool, call, usage)
        summary = text_of(answer.content()).strip()
        if summary:
            async with self.pool.connection() as connection:
                values = {
                    "id": uuid7(),
                    "thread": claimed.thread_id,
                    "through": cut,
                    "summary": summary,
                    "model": info.slug,
                    "usage": dump_json(usage),
                    "cost": cost,
                }
                await store.keep_summary(connection, values)
            hints.announce("live", "threads", claimed.thread_id)
        return summary


def _with_files(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**message, "content": inline(message["content"])} for message in messages]
