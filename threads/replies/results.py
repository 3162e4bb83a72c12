"""What came of a call, as rows keep it and as the model is told. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from threads import edits
from threads.blocks import Block, Partial, clean, dump_json
from tools.values import MOST_RESULT_BYTES, Outcome

INTERRUPTED = Outcome(
    "Interrupted: the server restarted while this tool ran, and nobody knows whether it had its effect. Look before doing it again.",
    is_error=True,
    error_kind="interrupted",
)
STOPPED = Outcome("Stopped: the person ended the answer before this tool was done.", is_error=True, error_kind="interrupted")
ENDED = Outcome("Not done: the answer ended before this tool could.", is_error=True, error_kind="interrupted")
DENIED = Outcome(
    "The person did not allow this call. Do not try it in another way; ask what they want.", is_error=True, error_kind="denied"
)
EXPIRED = Outcome("Nobody answered within 24 hours whether this call is allowed, so it was not made.", is_error=True, error_kind="denied")
CHANGED = Outcome("The tool has changed since this call was allowed, so it was not made.", is_error=True, error_kind="denied")
TOO_MANY = Outcome("Not run: this answer has used all the tool calls it may.", is_error=True, error_kind="refused")
UNPAID = Outcome("Not run: the account's balance does not pay for this tool.", is_error=True, error_kind="refused")
LATE = Outcome("The app did not answer in time.", is_error=True, error_kind="timeout")
MALFORMED = Outcome("The arguments were not valid JSON, or broke off. Call the tool again.", is_error=True, error_kind="invalid")

CUT = "\n[cut: {left:,} more bytes]"
SHORTEST_ID = 9  # characters; shorter ones are numbers that every answer begins anew


def denied_by(rule: str) -> Outcome:
    return Outcome(f"Not run: a rule does not allow this tool ({rule}).", is_error=True, error_kind="denied")


def unknown(name: str) -> Outcome:
    return Outcome(f"There is no tool {name[:100]!r}.", is_error=True, error_kind="unknown")


def asked(partial: Partial) -> list[Block]:
    """The tool calls of a message that has ended."""
    if partial.stop_reason is None or not all(partial.closed):
        return []
    return [block for block in partial.content() if block["type"] == "tool_use"]


def own_id(given: str, seen: set[str]) -> str:
    """The id of a call: the provider's, unless that would not be the only one of its kind in a conversation."""
    made = given if len(given) >= SHORTEST_ID and given not in seen else f"toolu_{uuid.uuid4().hex}"
    seen.add(made)
    return made


def plain(value: Any) -> Any:
    """As PostgreSQL will give it back: JSON values only, strings clean."""
    return clean(msgspec.json.decode(msgspec.json.encode(value)))


def fitted(outcome: Outcome) -> Outcome:
    """Small enough for the model: what is too large is cut, with a note."""
    output = plain(outcome.output)
    raw = _text(output).encode()
    if len(raw) <= MOST_RESULT_BYTES:
        return replace(outcome, output=output)
    kept = raw[: MOST_RESULT_BYTES - 100].decode(errors="ignore")
    return replace(outcome, output=kept + CUT.format(left=len(raw) - len(kept.encode())), cut=True)


def tool_result(tool_use_id: str, outcome: Outcome, files: Sequence[Block], notes: Sequence[str] = ()) -> Block:
    """The block that answers a `tool_use`; pictures and files stand behind the text."""
    text = edits.ENDS.join([*notes, _text(outcome.output)])
    content: Any = [{"type": "text", "text": text or "(nothing)"}, *files] if files else text
    block: Block = {"type": "tool_result", "tool_use_id": tool_use_id, "content": content}
    return block | {"is_error": True} if outcome.is_error else block


def size_of(outcome: Outcome) -> int:
    return len(_text(outcome.output).encode())


def _text(output: Any) -> str:
    return output if isinstance(output, str) else "" if output is None else dump_json(output)
