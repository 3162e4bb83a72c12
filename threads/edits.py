"""The note above a result whose arguments a person changed: what the model is told, and the page takes off again. Pure."""

from __future__ import annotations

from typing import Any

from threads.blocks import dump_json

BEGINS = "The person changed the arguments before allowing the call; it ran with: "
ENDS = "\n\n"


def note(arguments: Any) -> str:
    """One paragraph: JSON on one line has no breaks of its own."""
    return BEGINS + dump_json(arguments)


def apart(text: str) -> tuple[list[str], str]:
    """The arguments that the notes above `text` tell of, each as JSON, and what stands below them."""
    told = []
    while text.startswith(BEGINS):
        first, _, text = text.partition(ENDS)
        told.append(first.removeprefix(BEGINS))
    return told, text
