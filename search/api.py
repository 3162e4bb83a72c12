"""`/v1/search` and `/v1/threads/:id/search`: messages by meaning and words (contract, section 8)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from ninja.errors import HttpError
from pydantic import AfterValidator, Field

from accounts.access import key_of
from search.query import MOST_HITS, Found, Hit, Mode, Owner, find
from threads.blocks import clean_text
from threads.wire import millis

router = Router(tags=["search"])

LATEST = 253_402_300_799_999  # milliseconds: the end of the year 9999
Text = Annotated[str, AfterValidator(clean_text)]


class Asked(Schema):
    q: Text = Field(description='Natural language, at most 2,000 characters. `"Words in quotes"` and `-words` are taken to the letter.')
    limit: int = Field(10, ge=1, le=MOST_HITS)
    mode: Mode = Field("hybrid", description="By meaning and words, by meaning alone, or by words alone.")
    role: Literal["user", "assistant"] | None = None
    model: Text | None = Field(None, description="The model that was asked.")
    from_ms: int | None = Field(None, ge=0, le=LATEST, description="Sent at this moment or later.")
    to_ms: int | None = Field(None, ge=0, le=LATEST, description="Sent before this moment.")


class AskedAll(Asked):
    end_user_id: Text | None = Field(None, description="Threads of this end user alone.")


class HitOut(Schema):
    thread_id: str
    turn_id: str
    seq: int
    role: Literal["user", "assistant"]
    score: float = Field(description="Cosine similarity, -1 to 1; where `meaning` is false, how well the words fit, 0 to 1.")
    match: Literal["text", "meaning", "both"] = Field(description="What found it.")
    snippet: str = Field(description="About 240 characters around what matched.")
    model: str
    title: str | None
    created_at: int


class Hits(Schema):
    object: Literal["list"]
    query: str
    meaning: bool = Field(description="False when meaning was not asked for or is off for now: then these are the hits of the words.")
    data: list[HitOut]


@router.get("/search", response=Hits, summary="Messages of all threads, the best first")
def search(request: HttpRequest, asked: Annotated[AskedAll, Query()]) -> dict[str, Any]:
    """Questions and final answers, a few seconds after they are stored; never those of another account, nor with a standard key
    those of another key."""
    return _answer(request, asked, end_user_id=asked.end_user_id)


@router.get("/threads/{uuid:thread_id}/search", response=Hits, summary="Messages of one thread, the best first")
def search_thread(request: HttpRequest, thread_id: UUID, asked: Annotated[Asked, Query()]) -> dict[str, Any]:
    return _answer(request, asked, thread_id=thread_id)


def _answer(request: HttpRequest, asked: Asked, **within: Any) -> dict[str, Any]:
    if asked.from_ms is not None and asked.to_ms is not None and asked.to_ms < asked.from_ms:
        raise HttpError(400, "to_ms: it lies before from_ms.")
    key = key_of(request)
    found: Found = find(
        Owner(key.user, key),
        asked.q,
        limit=asked.limit,
        mode=asked.mode,
        role=asked.role,
        model=asked.model,
        since=_moment(asked.from_ms),
        until=_moment(asked.to_ms),
        **within,
    )
    return {"object": "list", "query": asked.q, "meaning": found.meaning, "data": [_row(hit) for hit in found.hits]}


def _moment(ms: int | None) -> dt.datetime | None:
    return None if ms is None else dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=ms)


def _row(hit: Hit) -> dict[str, Any]:
    return {
        "thread_id": str(hit.thread_id),
        "turn_id": str(hit.turn_id),
        "seq": hit.seq,
        "role": hit.role,
        "score": round(hit.score, 4),
        "match": hit.match,
        "snippet": hit.snippet,
        "model": hit.model,
        "title": hit.title or None,
        "created_at": millis(hit.created_at),
    }
