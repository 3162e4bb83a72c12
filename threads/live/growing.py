"""An answer while it grows: journal events in, HTML increments out. Rendered once per turn and process, whoever watches.

Finished Markdown blocks are rendered once and never again; only the block still open is. A watcher's place is a `Place`;
any place can be brought up to date in one step, so a frame that was skipped costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from threads import markdown
from threads.blocks import (
    ApprovalRequired,
    ApprovalResolved,
    BlockDelta,
    BlockStart,
    BlockStop,
    IterationStart,
    Partial,
    TextDelta,
    ThinkingDelta,
    ToolDone,
    ToolStart,
    TurnDone,
    load_event,
)
from threads.live.live_cards import LiveCard, LiveCards

if TYPE_CHECKING:
    from uuid import UUID


NOTHING = SafeString()


@dataclass(frozen=True, slots=True)
class Place:
    """How far a watcher's page is: finished pieces it has, which open block it shows, and how much of that."""

    pieces: int = 0
    block: int = -1
    shown: int = -1  # characters of a block that grows by text, else the version of its HTML
    changes: int = 0  # of cards


@dataclass(slots=True)
class Open:
    """The block at the end that may still change."""

    block: int  # raised whenever it is another block
    source: str
    draw: Callable[[str], SafeString]
    grows: bool  # only by plain text (code, thinking), so that a page that has it needs only what came since

    @property
    def html(self) -> SafeString:
        return self.draw(self.source)


class Growing:
    """One running turn, as this process has read it."""

    def __init__(self, turn_id: UUID, ring: int) -> None:
        self.turn_id = turn_id
        self.ring = ring
        self.next_index = 0  # of the next journal event to read
        self.ended = False
        self.version = 0  # of what there is to see
        self.pieces: list[SafeString | LiveCard] = []
        self.cards = LiveCards(turn_id)
        self.open: Open | None = None
        self._partial = Partial()
        self._kind = ""  # of the content block at the end
        self._text: list[str] = []  # its text that is in no finished piece
        self._blocks = 0
        self._steps: dict[Place, tuple[str, Place]] = {}

    def feed(self, payloads: list[str]) -> None:
        """Read further journal events, in order, and take in what they changed."""
        for payload in payloads:
            event = load_event(payload)
            self._partial.add(event)
            match event:
                case BlockDelta(_, TextDelta(text) | ThinkingDelta(text)):
                    self._text.append(text)
                case BlockStart(_, block):
                    self._kind = block["type"]
                    self._text = [block.get("text") or block.get("thinking") or ""]
                case BlockStop(index):
                    self._close(index)
                case IterationStart():
                    self._partial = Partial()
                case ToolStart() | ToolDone() | ApprovalRequired() | ApprovalResolved():
                    self.cards.take(event)
                case TurnDone():
                    self.ended = True
        self.next_index += len(payloads)
        self._look_at_open()
        self.version += 1
        self._steps.clear()

    def _close(self, index: int) -> None:
        text = "".join(self._text)
        if self._kind == "tool_use":
            self._finish(self.cards.add(self._partial.content()[-1]))
        elif text.strip():
            self._finish(thinking_html(text) if self._kind == "thinking" else markdown.render(text))
        self._kind, self._text, self.open = "", [], None

    def _look_at_open(self) -> None:
        text = "".join(self._text)
        if self._kind == "thinking" and text:
            self._show(text, lambda source: thinking_html(source, self._text_id), grows=True)
        elif self._kind == "text":
            self._look_at_text(text)

    def _look_at_text(self, text: str) -> None:
        end = markdown.closed_prefix(text)
        if text[:end].strip():
            self._finish(markdown.render(text[:end]))
            text = text[end:]
        self._text = [text]
        if not text.strip():
            self.open = None
        elif fence := markdown.open_fence(text):
            language, start = fence
            self._show(text[start:], lambda code: markdown.open_fence_html(language, code, self._text_id), grows=True)
        else:
            self._show(text, markdown.render, grows=False)

    def _finish(self, piece: SafeString | LiveCard) -> None:
        self.pieces.append(piece)
        self.open = None

    def _show(self, source: str, draw: Callable[[str], SafeString], grows: bool) -> None:
        if self.open is None or self.open.grows != grows:
            self._blocks += 1
        self.open = Open(self._blocks, source, draw, grows)

    # --- what a page needs ------------------------------------------------------------------------------------------------

    @property
    def _text_id(self) -> str:
        return f"text-{self.turn_id}"

    @property
    def html(self) -> SafeString:
        return _drawn(self.pieces)

    @property
    def open_html(self) -> SafeString:
        return self.open.html if self.open else NOTHING

    @property
    def place(self) -> Place:
        """Where a page is that was just drawn from `html` and `open_html`."""
        pieces, changes = len(self.pieces), len(self.cards.changes)
        if self.open is None:
            return Place(pieces, changes=changes)
        return Place(pieces, self.open.block, len(self.open.source) if self.open.grows else self.version, changes)

    def step(self, place: Place) -> tuple[str, Place]:
        """The partials that bring a page from `place` to now (empty when it is there), and where it is then."""
        if (known := self._steps.get(place)) is None:
            known = self._steps[place] = (self._increment(place), self.place)
        return known

    def _increment(self, place: Place) -> str:
        target = f"#open-{self.turn_id}"
        shown = {card for card in self.pieces[: place.pieces] if isinstance(card, LiveCard)}
        changed = dict.fromkeys(card for card in self.cards.changes[place.changes :] if card in shown)
        parts = [partial(f"#{card.id}", "outerMorph", card.html) for card in changed]
        if place.pieces < len(self.pieces):
            parts.append(partial(target, "beforebegin", _drawn(self.pieces[place.pieces :])))
        if self.open is None:
            if place.block != -1:
                parts.append(partial(target, "innerHTML", NOTHING))
        elif self.open.grows and self.open.block == place.block:
            if place.shown < len(self.open.source):
                parts.append(partial(f"#{self._text_id}", "beforeend", markdown.escape(self.open.source[place.shown :])))
        elif place != self.place:
            parts.append(partial(target, "innerHTML", self.open.html))
        return "".join(parts)


def partial(target: str, swap: str, html: SafeString) -> SafeString:
    """An htmx partial: `html` goes to `target`, one of our own ids, in the way `swap` names."""
    # Escaping what cannot need it would take longer than all the rest of a small frame.
    return SafeString(f'<hx-partial hx-target="{target}" hx-swap="{swap}">{html}</hx-partial>')


def thinking_html(text: str, element_id: str = "") -> SafeString:
    """The model's reasoning, folded away; `element_id` names the element that further text is appended to."""
    return render_to_string("threads/_thinking.html", {"text": text, "element_id": element_id})


def _drawn(pieces: list[SafeString | LiveCard]) -> SafeString:
    return markdown.join(piece.html if isinstance(piece, LiveCard) else piece for piece in pieces)
