"""Files that tools make for the person, as content blocks."""

from __future__ import annotations

import base64
import re
from typing import Any

from tools.values import ToolError

# What may be written as text, by the ending of the name. Nothing in it is ever run by the page: files are downloads.
TYPES = {
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "json": "application/json",
    "html": "text/html",
    "css": "text/css",
    "xml": "application/xml",
    "svg": "image/svg+xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "toml": "application/toml",
    "ics": "text/calendar",
    "vcf": "text/vcard",
    "tex": "application/x-tex",
    "sql": "application/sql",
    "py": "text/x-python",
    "js": "text/javascript",
    "ts": "text/x-typescript",
    "sh": "application/x-sh",
}
NAME = re.compile(r"[\w][\w .()+-]{0,119}")


def file_block(name: str, content: bytes, media_type: str) -> dict[str, Any]:
    """A document, or an image when it is one."""
    kind = "image" if media_type.startswith("image/") else "document"
    data = base64.b64encode(content).decode()
    return {"type": kind, "title": name, "source": {"type": "base64", "media_type": media_type, "data": data}}


def type_of(name: str) -> str:
    """The media type of a file's name. Raises ToolError for a name that is none, or of an ending that is not made here."""
    ending = name.rpartition(".")[2].lower()
    if not NAME.fullmatch(name) or "." not in name:
        raise ToolError("A file's name has letters, digits, spaces and . - _ ( ) +, and an ending.", "invalid")
    if ending not in TYPES:
        raise ToolError(f"Files of the type .{ending[:20]} cannot be made; there are {', '.join(TYPES)}.", "invalid")
    return TYPES[ending]
