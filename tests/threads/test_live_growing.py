"""A page is brought up to date in steps; whatever steps it got or missed, it shows what one shows that was just drawn."""

import random
from uuid import UUID

import pytest

from bench.script import MARKDOWN
from tests.dom import Element, parse, swap
from threads.blocks import BlockDelta, BlockStart, BlockStop, Event, TextDelta, ThinkingDelta, TurnDone, dump_event
from threads.live.growing import Growing, Place

TURN = UUID(int=7)
TEXTS = [
    MARKDOWN,
    "Plain words only, and then some more of them.",
    "```python\nprint('<b>&amp;')\n```\n\nand\n\n~~~\nanother\n~~~\nend",
    "1. one\n2. two\n\n   ```js\n   let a = 1;\n   ```\n3. three\n\n> quote\n> more\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "```\nnever closed <script>\n\n\nstill code",
    "Setext\n===\n\n- a\n  - b\n\n\n    indented code\n\nlast\n",
]


def events_of(dice: random.Random, thoughts: str, text: str) -> list[str]:
    events: list[Event] = []
    for index, (kind, words) in enumerate((("thinking", thoughts), ("text", text))):
        events.append(BlockStart(index, {"type": kind, kind: ""}))
        while words:
            size = dice.randint(1, 12)
            piece, words = words[:size], words[size:]
            events.append(BlockDelta(index, ThinkingDelta(piece) if kind == "thinking" else TextDelta(piece)))
        events.append(BlockStop(index))
    return [dump_event(event) for event in [*events, TurnDone(1, False)]]


def drawn(growing: Growing) -> Element:
    return parse(f'<div class="answer">{growing.html}<div class="open" id="open-{TURN}">{growing.open_html}</div></div>')


def shape(element: Element) -> list[object]:
    """Tags, attributes and text, with neighbouring strings joined."""
    parts: list[object] = [element.tag, sorted(element.attributes.items())]
    for child in element.children:
        if isinstance(child, Element):
            parts.append(shape(child))
        elif isinstance(parts[-1], str) and len(parts) > 2:
            parts[-1] += child
        elif child:
            parts.append(child)
    return parts


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("which", range(len(TEXTS)))
def test_steps_and_a_fresh_drawing_agree_at_every_moment(which: int, seed: int) -> None:
    dice = random.Random(seed)
    payloads = events_of(dice, "Let me think.\n\nHm <i>.", TEXTS[which])
    growing, place = Growing(TURN, 0), Place()
    growing.feed(payloads[:1])
    page, place = drawn(growing), growing.place
    at = 1
    while at < len(payloads):
        size = dice.randint(1, 8)
        growing.feed(payloads[at : at + size])
        at += size
        if dice.random() < 0.6:  # else the page missed this one
            content, place = growing.step(place)
            assert swap(page, content) == []
            assert shape(page) == shape(drawn(growing))
    content, place = growing.step(place)
    swap(page, content)
    assert shape(page) == shape(drawn(growing))
    assert growing.step(place) == ("", place)
    assert growing.ended
