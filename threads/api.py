"""`/v1/threads`: conversations of an app's end users (contract, section 4)."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from ninja.errors import HttpError
from ninja.responses import Status
from pydantic import AfterValidator, Field

from accounts.access import key_of
from threads import actions
from threads.blocks import clean_text
from threads.models import Thread
from threads.wire import thread_row

router = Router()

METADATA_BYTES = 16 * 1024
THREADS = ["threads"]


class NewThread(Schema):
    end_user_id: str | None = Field(default=None, max_length=255)
    metadata: dict[str, Any] | None = None
    title: str | None = Field(default=None, max_length=200)
    default_model: str | None = Field(default=None, max_length=100)


class Change(Schema):
    metadata: dict[str, Any] | None = None
    title: str | None = Field(default=None, max_length=200)


class ThreadOut(Schema):
    id: str
    object: Literal["thread"]
    end_user_id: str | None
    metadata: dict[str, Any] | None
    title: str | None
    default_model: str | None
    created_at: int
    last_active_at: int


class ThreadList(Schema):
    object: Literal["list"]
    data: list[ThreadOut]
    has_more: bool


class Deleted(Schema):
    id: str
    object: Literal["thread"]
    deleted: bool


class Erased(Schema):
    id: str
    object: Literal["end_user"]
    deleted: bool
    threads: int


class Count(Schema):
    deleted: int


class Wanted(Schema):
    limit: int = Field(20, ge=1, le=200)
    end_user_id: Annotated[str, AfterValidator(clean_text)] | None = None
    before: UUID | None = Field(None, description="Threads that were active before this one.")


@router.post("/threads", response={201: ThreadOut}, tags=THREADS, summary="Create a thread")
def create(request: HttpRequest, payload: NewThread) -> Status[dict[str, Any]]:
    key = key_of(request)
    thread = actions.create_thread(
        key.user,
        key,
        model=payload.default_model or "",
        end_user_id=payload.end_user_id,
        metadata=_checked(payload.metadata),
        title=payload.title or "",
    )
    return Status(201, thread_row(thread))


@router.get("/threads", response=ThreadList, tags=THREADS, summary="Threads, the most recently active first")
def list_threads(request: HttpRequest, wanted: Annotated[Wanted, Query()]) -> dict[str, Any]:
    threads = Thread.objects.for_key(key_of(request))
    found = threads.newest()
    if wanted.end_user_id is not None:
        found = found.filter(end_user_id=wanted.end_user_id)
    if wanted.before is not None:
        last = get_object_or_404(threads, pk=wanted.before)
        found = found.before(last)
    rows = list(found[: wanted.limit + 1])
    return {"object": "list", "data": [thread_row(row) for row in rows[: wanted.limit]], "has_more": len(rows) > wanted.limit}


@router.delete("/threads/empty", response=Count, tags=THREADS, summary="Delete threads without messages")
def delete_empty(request: HttpRequest) -> dict[str, int]:
    """Those older than a minute, of this key (of the account, for an admin key)."""
    return {"deleted": actions.delete_empty(key_of(request))}


@router.get("/threads/{uuid:thread_id}", response=ThreadOut, tags=THREADS, summary="One thread")
def get(request: HttpRequest, thread_id: UUID) -> dict[str, Any]:
    return thread_row(_own(request, thread_id))


@router.patch("/threads/{uuid:thread_id}", response=ThreadOut, tags=THREADS, summary="Merge metadata, set or clear the title")
def change(request: HttpRequest, thread_id: UUID, payload: Change) -> dict[str, Any]:
    given = payload.model_fields_set
    _own(request, thread_id)
    if "metadata" in given and payload.metadata is not None:
        actions.merge_metadata(key_of(request).user, thread_id, payload.metadata, METADATA_BYTES)
    if "title" in given:
        actions.set_title(key_of(request).user, thread_id, payload.title or "")
    return thread_row(_own(request, thread_id))


@router.delete("/threads/{uuid:thread_id}", response=Deleted, tags=THREADS, summary="Delete a thread and everything in it")
def delete(request: HttpRequest, thread_id: UUID) -> dict[str, Any]:
    _own(request, thread_id)
    actions.delete_thread(key_of(request).user, thread_id)
    return {"id": str(thread_id), "object": "thread", "deleted": True}


@router.delete("/end-users/{path:end_user_id}", response=Erased, tags=THREADS, summary="Erase all threads of one end user")
def delete_end_user(request: HttpRequest, end_user_id: str) -> dict[str, Any]:
    deleted = actions.delete_end_user(key_of(request), clean_text(end_user_id))
    return {"id": end_user_id, "object": "end_user", "deleted": True, "threads": deleted}


def _own(request: HttpRequest, thread_id: UUID) -> Thread:
    return get_object_or_404(Thread.objects.for_key(key_of(request)), pk=thread_id)


def _checked(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    if metadata is not None and len(msgspec.json.encode(metadata)) > METADATA_BYTES:
        raise HttpError(400, f"metadata: at most {METADATA_BYTES // 1024} KiB as JSON.")
    return metadata
