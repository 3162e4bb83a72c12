"""Asking the `embed` process for the vector of a query, over Redis, for as long as a person can be kept waiting.

Not a job: those of a long backlog would come first. Whoever embeds shows itself; when nobody does, nobody is waited for.
"""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import msgspec
import redis
from django.conf import settings

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)

PATIENCE = 0.2  # seconds for a vector; after that the words alone answer
REMEMBERED = 600  # seconds that a vector is kept: the next page and the next letter ask again
REQUESTS = "search:queries"


class Asked(msgspec.Struct):
    """What an embedder is asked."""

    id: str
    model: str
    text: str
    user: UUID


def name_of(kind: str, model: str, text: str = "") -> str:
    """The name of a key in Redis that says neither the model nor the text."""
    digest = hashlib.sha256("\0".join((model, text)).encode()).hexdigest()
    return f"search:{kind}:{digest[:32]}"


@cache
def connection() -> redis.Redis:
    address = settings.REDIS_URL or "redis://127.0.0.1:6379"
    return redis.Redis.from_url(address, socket_timeout=1.0, socket_connect_timeout=0.5, decode_responses=True)


def of_query(user: User, model: str, text: str) -> str | None:
    """The vector of `text` as pgvector reads it; None when meaning is off for now."""
    known = name_of("vector", model, text)
    try:
        found, alive = connection().mget(known, name_of("embedder", model))
        if found is None and alive is not None:
            found = _asked(user, model, text)
    except redis.RedisError as error:
        logger.warning("no vector for a query: %s", type(error).__name__)
        return None
    return str(found) if found else None


def somebody_embeds(models: list[str]) -> bool:
    """Whether an `embed` process shows itself for one of these models."""
    try:
        return any(connection().mget([name_of("embedder", model) for model in models]))
    except redis.RedisError as error:
        logger.warning("embedders are not known: %s", type(error).__name__)
        return False


def _asked(user: User, model: str, text: str) -> str | None:
    """What an embedder answers in time."""
    question = Asked(id=uuid4().hex, model=model, text=text, user=user.pk)
    connection().rpush(REQUESTS, msgspec.json.encode(question))
    answer = connection().blpop([f"search:answer:{question.id}"], timeout=PATIENCE)
    return str(answer[1]) if answer else None
