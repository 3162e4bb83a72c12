"""Asking the `embed` process for the vector of a query, over Redis, for as long as a person can be kept waiting.

Not a job: those of a long backlog would come first. Whoever embeds shows itself; when nobody does, nobody is waited for.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
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
TOOLS_AT_ONCE = 8


class Asked(msgspec.Struct):
    """What an embedder is asked."""

    id: str
    model: str
    text: str
    user: UUID | None  # who pays for it, where it costs something


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


def of_tools(model: str, texts: Sequence[str]) -> list[list[float]]:
    """Vectors of what tools say of themselves and of what is wanted of one. Raises LookupError when nobody makes them in time.

    A few at a time: queries of people wait in the same line.
    """
    found: list[list[float]] = []
    for start in range(0, len(texts), TOOLS_AT_ONCE):
        some = texts[start : start + TOOLS_AT_ONCE]
        alive, *known = connection().mget(name_of("embedder", model), *(name_of("vector", model, text) for text in some))
        if alive is None:
            raise LookupError("no process embeds")
        asked = {place: Asked(uuid4().hex, model, some[place], None) for place, vector in enumerate(known) if vector is None}
        if asked:
            connection().rpush(REQUESTS, *map(msgspec.json.encode, asked.values()))
        for place, question in asked.items():
            answer = connection().blpop([f"search:answer:{question.id}"], timeout=PATIENCE)
            if answer is None:
                raise LookupError("the process that embeds is slow")
            known[place] = answer[1]
        found += [msgspec.json.decode(str(vector)) for vector in known]
    return found


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
