"""What a tool gave back, as it can be stored and as the model reads it: at most 64 KiB, cut with a note."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from chatai.lib.border import BadBody, read_json
from tools.values import MOST_RESULT_BYTES, Outcome, ToolError

NOTE = "\n[Cut here: this is the beginning of {size:,} bytes. Ask for less, or for another part.]"
NOTHING = "Done."


def as_text(output: Any) -> str:
    """The text of a tool_result: strings as they are, other JSON written out."""
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, separators=(",", ":"))


def fitted(outcome: Outcome) -> Outcome:
    """The outcome with an output that is JSON, can be stored and is not too long. Raises ToolError for one that is not JSON."""
    output = NOTHING if outcome.output is None and not outcome.is_error else _cleaned(outcome.output)
    size = len(as_text(output).encode())
    if size <= MOST_RESULT_BYTES:
        return replace(outcome, output=output)
    note = NOTE.format(size=size)
    kept = as_text(output).encode()[: MOST_RESULT_BYTES - len(note.encode())].decode(errors="ignore")
    return replace(outcome, output=kept + note, cut=True)


def _cleaned(output: Any) -> Any:
    """Without NUL and lone surrogates, which PostgreSQL refuses, and without numbers that JSON does not have."""
    try:
        return read_json(json.dumps(output, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError, BadBody):
        raise ToolError("The tool answered with something that is not JSON.", "crash") from None
