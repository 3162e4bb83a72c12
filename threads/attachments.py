"""Images and documents of messages: kept once per account under the hash of their bytes, a reference in the row."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from threads import file_bytes
from threads.blocks import Block
from threads.models import StoredFile
from threads.refusals import Refused

if TYPE_CHECKING:
    from accounts.models import User

KINDS = {
    "image": {"image/png", "image/jpeg", "image/gif", "image/webp"},
    "document": {"application/pdf", "text/plain"},
}
MOST_BYTES = 20 * 1024 * 1024
MOST_BLOCKS = 1000
FILE_PREFIX = "file_"


def store_blocks(user: User, thread_id: UUID, content: str | list[Block]) -> str | list[Block]:
    """The content with every base64 source replaced by a reference to the stored file. Raises Refused for what cannot be kept."""
    if isinstance(content, str):
        return content
    if not 1 <= len(content) <= MOST_BLOCKS:
        raise Refused(400, "invalid_request_error", f"content: 1 to {MOST_BLOCKS:,} blocks.")
    return [_checked(user, thread_id, block, place) for place, block in enumerate(content)]


def _checked(user: User, thread_id: UUID, block: Block, place: int) -> Block:
    match block:
        case {"type": "text", "text": str()}:
            return block
        case {"type": "image" | "document" as kind, "source": {"type": "base64", "media_type": str(media_type), "data": str(data)}}:
            return {**block, "source": _kept(user, thread_id, kind, media_type, data, place)}
        case {"type": "document", "source": {"type": "text", "data": str(data)}}:
            if len(data) > settings.MAX_MESSAGE_CHARS:
                raise Refused(413, "request_too_large", f"content.{place}: a text has at most {settings.MAX_MESSAGE_CHARS:,} characters.")
            return block
    raise Refused(400, "invalid_request_error", f"content.{place}: a block is text, or an image or document with a base64 source.")


def _kept(user: User, thread_id: UUID, kind: str, media_type: str, data: str, place: int) -> dict[str, Any]:
    if media_type not in KINDS[kind]:
        raise Refused(400, "invalid_request_error", f"content.{place}: {kind} of type {media_type[:60]} is not supported.")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, "invalid_request_error", f"content.{place}: the data is not base64.") from error
    if not 0 < len(content) <= MOST_BYTES:
        raise Refused(413, "request_too_large", f"content.{place}: a file has 1 byte to {MOST_BYTES // 2**20} MiB.")
    file = _stored(user, thread_id, content, media_type)
    return {"type": "file", "file_id": f"{FILE_PREFIX}{file.pk.hex}", "media_type": media_type}


def _stored(user: User, thread_id: UUID, content: bytes, media_type: str) -> StoredFile:
    """The account's one file of these bytes, tied to the thread. Its row's lock orders this with erasing."""
    digest = hashlib.sha256(content).hexdigest()
    while True:
        with transaction.atomic():
            made, _ = StoredFile.objects.get_or_create(
                user=user, digest=digest, defaults={"media_type": media_type, "size": len(content), "place": settings.FILES_STORAGE}
            )
            file = StoredFile.objects.select_for_update().filter(pk=made.pk).first()
            if file is None:
                continue  # erased in between
            StoredFile.threads.through.objects.get_or_create(storedfile=file, thread_id=thread_id)
            if not file_bytes.are_there(file):
                file_bytes.keep(file, content)
            return file


def keep_made(user_id: UUID, thread_id: UUID, blocks: Iterable[Mapping[str, Any]]) -> list[Block]:
    """Pictures and files that a tool has made, as references to the stored files. What is too large or no file is left out."""
    user = get_user_model().objects.get(pk=user_id)
    return [kept for block in blocks if (kept := _kept_made(user, thread_id, block)) is not None]


def _kept_made(user: User, thread_id: UUID, block: Mapping[str, Any]) -> Block | None:
    match block:
        case {"type": "image" | "document" as kind, "source": {"type": "base64", "media_type": str(media_type), "data": str(data)}}:
            try:
                content = base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError):
                return None
        case {"type": "document" as kind, "source": {"type": "text", "data": str(data)}}:
            content, media_type = data.encode(), "text/plain"
        case _:
            return None
    if not 0 < len(content) <= MOST_BYTES:
        return None
    file = _stored(user, thread_id, content, media_type[:100])
    source = {"type": "file", "file_id": f"{FILE_PREFIX}{file.pk.hex}", "media_type": media_type}
    return {"type": kind, "title": str(block.get("title") or "")[:200], "source": source}


def has_files(blocks: list[Block]) -> bool:
    """Whether `inline` has anything to do."""
    return any(
        block["type"] in ("image", "document") or (block["type"] == "tool_result" and isinstance(block.get("content"), list))
        for block in blocks
    )


def inline(blocks: list[Block]) -> list[Block]:
    """The blocks with every reference replaced by the file's bytes, as providers want them. A lost file becomes a note."""
    return [_given(block) if block["type"] == "tool_result" else _inlined(block) if _is_reference(block) else block for block in blocks]


def _given(result: Block) -> Block:
    """What a tool made, for the model: pictures of a kind that providers read; of other files it is told that they are there."""
    content = result.get("content")
    return {**result, "content": [_inlined_made(part) for part in content]} if isinstance(content, list) else result


def _inlined_made(part: Block) -> Block:
    if not _is_reference(part):
        return part
    if part["source"].get("media_type") in KINDS["image"]:
        return {name: value for name, value in _inlined(part).items() if name != "title"}
    return {"type": "text", "text": f"[{part.get('title') or part['type']}: the person has this file]"}


def _is_reference(block: Block) -> bool:
    source = block.get("source")
    return isinstance(source, dict) and source.get("type") == "file"


def _inlined(block: Block) -> Block:
    source = block["source"]
    file = StoredFile.objects.filter(pk=UUID(hex=source["file_id"].removeprefix(FILE_PREFIX))).first()
    content = file_bytes.read(file) if file else None
    if content is None:
        return {"type": "text", "text": f"[{block['type']}: the file is no longer there]"}
    data = base64.b64encode(content).decode()
    return {**block, "source": {"type": "base64", "media_type": source["media_type"], "data": data}}


def erase_of_threads(thread_ids: list[UUID]) -> int:
    """Delete the files that no other thread refers to; how many. Inside a transaction, before the threads themselves go:
    if anything fails in between, the next round finds them again."""
    theirs = StoredFile.objects.filter(threads__in=thread_ids).values("pk")
    shared = StoredFile.threads.through.objects.filter(storedfile=OuterRef("pk")).exclude(thread__in=thread_ids)
    return _erase(StoredFile.objects.filter(~Exists(shared), pk__in=theirs))


def erase_of_account(user: User) -> int:
    return _erase(StoredFile.objects.filter(user=user))


def _erase(files: QuerySet[StoredFile]) -> int:
    doomed = list(files.select_for_update())
    for file in doomed:
        file_bytes.erase(file)
    return len(doomed)
