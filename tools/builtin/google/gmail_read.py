"""One mail as text."""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from tools.answers import at
from tools.builtin.google import GMAIL
from tools.page_text import to_markdown
from tools.schemas import takes, word
from tools.vendor import Call

SHOWN = {"from", "to", "cc", "subject", "date"}


def _mail(data: Any) -> dict[str, Any]:
    headers = {header["name"].lower(): header["value"] for header in at(data, ["payload", "headers"]) or []}
    bodies = dict(_bodies(data.get("payload") or {}))
    text = bodies.get("text/plain") or to_markdown(bodies.get("text/html", "")).text
    return {"id": data.get("id"), **{name: value for name, value in headers.items() if name in SHOWN}, "text": text}


def _bodies(part: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Text parts by type, the first of each last, so that it wins."""
    for inner in reversed(part.get("parts") or []):
        yield from _bodies(inner)
    packed = at(part, ["body", "data"])
    if packed and str(part.get("mimeType", "")).startswith("text/"):
        try:
            yield part["mimeType"], base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode("utf-8", "replace")
        except binascii.Error:
            return


TOOL = GMAIL.tool(
    "read",
    "Read a mail",
    "Reads one mail of Gmail as text.",
    takes("id", id=word("Its id, as gmail-search tells it.")),
    Call(path="/messages/{id}", query={"format": "full"}, read=_mail),
    writes=False,
)
