"""What one call has used: the provider's own figures, and where it gave none (cut, stopped, killed), an estimate marked as such."""

from __future__ import annotations

from threads.blocks import BlockDelta, BlockStart, Event, InputJsonDelta, MessageDelta, MessageStart, Other, TextDelta, ThinkingDelta

CHARS_PER_TOKEN = 4
# Below this many characters each, pieces of a stream are tokens; above, providers send several in one piece.
CHARS_OF_ONE_TOKEN = 8
FIELDS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Meter:
    """Fed with the events of one call, as they arrive or as the journal kept them."""

    __slots__ = ("asked", "chars", "pieces", "told", "usage")

    def __init__(self) -> None:
        self.asked = False  # the provider has begun to answer, and so it will want to be paid
        self.told = False  # it said how much it has written
        self.chars = self.pieces = 0
        self.usage: dict[str, int] = {}

    def add(self, event: Event | Other) -> None:
        match event:
            case MessageStart(message):
                self.asked = True
                self._count(message.get("usage") or {})
            case MessageDelta(_, usage):
                self.told = self.told or usage.get("output_tokens") is not None
                self._count(usage)
            case BlockStart():
                self.asked = True
            case BlockDelta(_, TextDelta(text) | ThinkingDelta(text) | InputJsonDelta(text)):
                self.asked = True
                self.chars += len(text)
                self.pieces += 1

    def figures(self, input_tokens: int) -> dict[str, int]:
        """Usage of the call, empty when the provider never began; `input_tokens` is the estimate where it did not count them."""
        if not self.asked:
            return {}
        usage = dict(self.usage)
        if not any(usage.get(name) for name in FIELDS if name != "output_tokens"):
            usage |= {"input_tokens": input_tokens, "estimated": 1}
        if not self.told:
            usage |= {"output_tokens": max(usage.get("output_tokens", 0), self._received()), "estimated": 1}
        return usage

    def _received(self) -> int:
        by_length = -(-self.chars // CHARS_PER_TOKEN)
        return self.pieces if self.pieces and self.chars / self.pieces < CHARS_OF_ONE_TOKEN else by_length

    def _count(self, usage: dict[str, object]) -> None:
        """Figures are cumulative: a later one replaces an earlier one, a missing one changes nothing."""
        self.usage |= {name: value for name in FIELDS if isinstance(value := usage.get(name), int) and value >= 0}
        if usage.get("estimated"):
            self.usage["estimated"] = 1


def total(calls: list[dict[str, int]]) -> dict[str, int]:
    """Usage of several calls together."""
    usage: dict[str, int] = {}
    for call in calls:
        for name, value in call.items():
            usage[name] = 1 if name == "estimated" else usage.get(name, 0) + value
    return usage
