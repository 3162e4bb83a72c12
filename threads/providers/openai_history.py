"""Canonical history as chat completions take it. Pure."""

import hashlib
import json
from typing import Any

from threads.blocks import Block, text_of
from threads.providers.base import Request
from threads.providers.history import Message, ToolNames, prepared, result_text

ID_LIMIT = 40  # OpenAI refuses longer ids of calls


def translate(request: Request, names: ToolNames) -> list[Message]:
    """System text, then messages; results of tools become messages of their own, right behind the calls."""
    out: list[Message] = []
    system = request.system or ""
    text = system if isinstance(system, str) else text_of(system)
    if text:
        out.append({"role": "system", "content": text})
    for message in prepared(request.messages, lambda block: _keep(block, request.model.vision)):
        if message["role"] == "assistant":
            out.append(_assistant(message["content"], names))
        else:
            out += _user(message["content"], request.model.vision)
    return out


def _keep(block: Block, vision: bool) -> Block | None:
    match block.get("type"):
        case "text" | "tool_use" | "tool_result":
            return block
        case "image" | "document" if not vision and not _is_plain(block):
            return {"type": "text", "text": f"[{block['type']}: this model cannot read it]"}
        case "image" | "document":
            return block
        case _:
            return None  # thinking stays with the provider that thought it


def _assistant(blocks: list[Block], names: ToolNames) -> Message:
    text = "\n\n".join(block["text"] for block in blocks if block["type"] == "text")
    calls = [
        {
            "id": _id(block["id"]),
            "type": "function",
            "function": {"name": names.encode(block["name"]), "arguments": json.dumps(block.get("input") or {}, ensure_ascii=False)},
        }
        for block in blocks
        if block["type"] == "tool_use"
    ]
    message: Message = {"role": "assistant", "content": text or None}
    return {**message, "tool_calls": calls} if calls else message


def _user(blocks: list[Block], vision: bool) -> list[Message]:
    out: list[Message] = []
    parts: list[Block] = []
    for block in blocks:
        if block["type"] != "tool_result":
            parts.append(_part(block))
            continue
        text = result_text(block) or "(empty)"
        content = f"Error: {text}" if block.get("is_error") else text
        out.append({"role": "tool", "tool_call_id": _id(block["tool_use_id"]), "content": content})
        nested = block.get("content")
        images = [part for part in nested if part.get("type") == "image"] if vision and isinstance(nested, list) else []
        parts += [_part(image) for image in images]  # a tool's message may hold only text
    if all(part["type"] == "text" for part in parts):
        text = "\n\n".join(part["text"] for part in parts)
        return [*out, {"role": "user", "content": text}] if parts else out
    return [*out, {"role": "user", "content": parts}]


def _part(block: Block) -> dict[str, Any]:
    source = block.get("source") or {}
    data_url = f"data:{source.get('media_type')};base64,{source.get('data')}"
    match block["type"], source.get("type"):
        case "text", _:
            return {"type": "text", "text": block["text"]}
        case "image", kind:
            return {"type": "image_url", "image_url": {"url": source["url"] if kind == "url" else data_url}}
        case _, "base64":
            return {"type": "file", "file": {"filename": block.get("title") or "document.pdf", "file_data": data_url}}
        case _, "url":
            return {"type": "text", "text": f"Document: {source['url']}"}
        case _:
            return {"type": "text", "text": f"{block.get('title') or 'Document'}:\n\n{source.get('data', '')}"}


def _is_plain(block: Block) -> bool:
    return (block.get("source") or {}).get("type") == "text"


def _id(id_: str) -> str:
    return id_ if len(id_) <= ID_LIMIT else f"call_{hashlib.sha256(id_.encode()).hexdigest()[:32]}"
