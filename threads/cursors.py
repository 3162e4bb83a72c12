"""The places in a list that a page may ask to go on from."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from threads.models import Thread


class BadCursor(Exception):  # noqa: N818 - a refusal
    """Not a cursor that a page of this list ever carried."""


def sequence_before(raw: str, thread: Thread) -> int:
    """A sequence number of this thread. Raises BadCursor."""
    if not raw.isascii() or not raw.isdigit() or len(raw) > 10 or not 1 <= int(raw) <= thread.last_seq + 1:
        raise BadCursor(raw[:20])
    return int(raw)


def sequence_at(raw: str, thread: Thread) -> int:
    """The sequence number of a message of this thread. Raises BadCursor."""
    seq = sequence_before(raw, thread)
    if seq > thread.last_seq:
        raise BadCursor(raw[:20])
    return seq


def after_thread(thread: Thread) -> str:
    return f"{thread.last_active_at.timestamp():.6f}_{thread.pk}"


def parse_after(raw: str) -> tuple[dt.datetime, UUID]:
    """When the last thread of the page before was active, and its id. Raises BadCursor."""
    stamp, _, thread_id = raw.partition("_")
    try:
        return dt.datetime.fromtimestamp(float(stamp), dt.UTC), UUID(thread_id)
    except (ValueError, OverflowError, OSError) as error:
        raise BadCursor(raw[:60]) from error
