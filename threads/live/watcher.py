"""One socket: what its page already has, what it still needs, and how much may be under way to it.

Everything pending is state, keyed by what it replaces; a page that reads slowly gets fewer and newer frames, and the memory
it costs is bounded whatever it does, because Daphne itself never pushes back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from threads.live import frames
from threads.live.growing import Growing, Place

if TYPE_CHECKING:
    from threads.models import Thread

WINDOW = 64 * 1024  # bytes of frames that may be unacknowledged; one frame may go beyond
PATIENCE = 60.0  # seconds without an acknowledgement before the socket is closed
MOST_PENDING = 500  # turns and threads

encode = msgspec.json.Encoder().encode


class Watcher:
    """`send` brings a text frame to the page, `close` ends the socket with a code."""

    def __init__(
        self,
        user_id: UUID,
        thread_id: UUID | None,
        session_key: str,
        password: str,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[int], Awaitable[None]],
    ) -> None:
        self.user_id = user_id
        self.thread_id = thread_id
        self.session_key = session_key
        self.password = password
        self.send = send
        self.close = close
        self.places: dict[UUID, Place] = {}  # of each running turn its page shows
        self.growing: dict[UUID, Growing] = {}
        self.sections: dict[UUID, Callable[[], str]] = {}
        self.rows: dict[UUID, Thread] = {}
        self.rows_shown: dict[UUID, tuple[object, ...]] = {}  # what the page's list shows of threads that changed
        self.stale = False  # there may be something to send
        self.number = 0
        self.unread: deque[tuple[int, int]] = deque()  # frame number, bytes
        self.unread_bytes = 0
        self.heard_at = time.monotonic()
        self.fresh_from = datetime.now(UTC)  # what changed before that, the page was drawn with

    def show_section(self, turn_id: UUID, draw: Callable[[], str], growing: Growing | None) -> None:
        """Replace the whole turn with what `draw` gives when the frame is built."""
        self.sections[turn_id] = draw
        self.stale = True
        if growing is None:
            self.places.pop(turn_id, None)
            self.growing.pop(turn_id, None)
        else:
            self.growing[turn_id] = growing

    def show_row(self, thread: Thread) -> None:
        self.rows[thread.id] = thread
        self.stale = True

    def acknowledge(self, number: int) -> None:
        self.heard_at = time.monotonic()
        while self.unread and self.unread[0][0] <= number:
            self.unread_bytes -= self.unread.popleft()[1]

    @property
    def silent(self) -> bool:
        return bool(self.unread) and time.monotonic() - self.heard_at > PATIENCE

    @property
    def overwhelmed(self) -> bool:
        return len(self.sections) + len(self.rows) > MOST_PENDING

    async def reload(self, changed_at: datetime) -> bool:
        """The page missed more than is worth sending: it loads anew, unless it was drawn after all of that; whether it does."""
        if changed_at < self.fresh_from:
            return False
        await self._send({"reload": True})
        return True

    async def flush(self) -> None:
        """Send one frame with all that is pending, unless too much is under way already."""
        if self.unread_bytes >= WINDOW:
            return
        self.stale = False
        content = "".join(self._content())
        if content:
            await self._send({"content": content})

    async def _send(self, body: dict[str, object]) -> None:
        self.number += 1
        frame = encode({"n": self.number, "t": int(time.time() * 1000), **body})
        if not self.unread:
            self.heard_at = time.monotonic()
        self.unread.append((self.number, len(frame)))
        self.unread_bytes += len(frame)
        await self.send(frame.decode())

    def _content(self) -> list[str]:
        rows, self.rows = self.rows, {}
        sections, self.sections = self.sections, {}
        parts: list[str] = [frames.sidebar(thread, self.thread_id) for thread in rows.values() if self._is_news(thread)]
        for turn_id, growing in self.growing.items():
            if turn_id not in sections and turn_id in self.places:
                increment, self.places[turn_id] = growing.step(self.places[turn_id])
                parts.append(increment)
        for turn_id, draw in sections.items():
            parts.append(draw())
            if turn_id in self.growing:
                self.places[turn_id] = self.growing[turn_id].place
        return parts

    def _is_news(self, thread: Thread) -> bool:
        shows = frames.sidebar_shows(thread, self.thread_id)
        if self.rows_shown.get(thread.id) == shows:
            return False
        if len(self.rows_shown) >= MOST_PENDING:
            self.rows_shown.clear()
        self.rows_shown[thread.id] = shows
        return True
