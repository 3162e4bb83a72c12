"""What an MCP tool answered, as an Outcome: text for the model, pictures and files for the person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tools.redaction import redact
from tools.values import Outcome

if TYPE_CHECKING:
    from tools.mcp_session import Called, McpFailure

ERROR_KINDS = {
    "unauthorized": "not_connected",
    "timeout": "timeout",
    "unavailable": "unavailable",
    "refused": "refused",
    "forbidden": "refused",
}
MOST_FILES = 20


def outcome(called: Called, hidden: list[str], attempts: int, credential: str) -> Outcome:
    """`hidden`: secrets that were sent along and must not come back."""
    texts: list[str] = []
    files: list[dict[str, Any]] = []
    for block in called.content:
        text, file = _read(block)
        texts += [text] if text else []
        files += [file] if file else []
    output = "\n\n".join(texts) if texts else called.structured
    if output is None and files:
        output = f"{len(files)} file(s), shown to the person."
    return Outcome(
        redact(output, hidden),
        is_error=called.is_error,
        blocks=tuple(files[:MOST_FILES]),
        http_status=200,
        attempts=attempts,
        credential=credential,
        error_kind="refused" if called.is_error else "",
    )


def failed(failure: McpFailure, name: str, hidden: list[str], attempts: int, credential: str) -> Outcome:
    kind = ERROR_KINDS[failure.kind]
    message: str = redact(failure.message, hidden)
    if kind == "not_connected":
        message += f" Call qlaud_manage_connections with action connect and tool {name}, and give the person the link."
    return Outcome(message, is_error=True, http_status=failure.http_status, attempts=attempts, credential=credential, error_kind=kind)


def _read(block: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    match block:
        case {"type": "text", "text": str(text)}:
            return text, None
        case {"type": "image" | "audio" as kind, "data": str(data), "mimeType": str(media_type)}:
            return "", _file("image" if kind == "image" else "document", f"{kind} of the tool", media_type, data)
        case {"type": "resource_link", "uri": str(uri)}:
            return f"{block.get('title') or block.get('name') or 'Resource'}: {uri}", None
        case {"type": "resource", "resource": {"text": str(text)}}:
            return text, None
        case {"type": "resource", "resource": {"blob": str(blob), "uri": str(uri)} as inner}:
            return "", _file("document", uri.rpartition("/")[2][:100] or "file", inner.get("mimeType") or "application/octet-stream", blob)
    return "", None


def _file(kind: str, title: str, media_type: str, data: str) -> dict[str, Any]:
    return {"type": kind, "title": title, "source": {"type": "base64", "media_type": media_type, "data": data}}
