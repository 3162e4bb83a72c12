"""In the `embed` process: vectors of queries, at once, while jobs go on beside."""

from __future__ import annotations

import logging
import threading
import time

import msgspec
import redis
from django.db import DatabaseError, close_old_connections

from search import embedder, generations, vectors
from search.choice import configured
from search.embedding import paid
from threads.providers.base import ProviderError

logger = logging.getLogger(__name__)

SHOWN = 1.0  # seconds between two signs of life
ALIVE = 4  # seconds that one counts
KEPT = 5  # seconds that an answer waits for who asked
PAUSE = 1.0  # seconds after a failure
LONG_PAUSE = 60.0  # seconds after one that somebody has to mend


def start() -> threading.Thread:
    """Answer for as long as the process lives."""
    thread = threading.Thread(target=forever, name="queries", daemon=True)
    thread.start()
    return thread


def forever() -> None:
    while True:
        try:
            close_old_connections()
            loaded = generations.models()
            serve([name for name in loaded if _loads(name)])
        except embedder.Unavailable as error:
            logger.error("no meaning: %s", error)
            time.sleep(LONG_PAUSE)
        except (redis.RedisError, DatabaseError) as error:
            logger.warning("no meaning for now: %s", type(error).__name__)
            time.sleep(PAUSE)


def _loads(model: str) -> bool:
    """Whether vectors of it can be made here. Raises embedder.Unavailable for the one that is configured."""
    try:
        embedder.load(model)
    except embedder.Unavailable as error:
        if model == configured():
            raise
        logger.warning("until the index is made anew, words only: %s", error)
        return False
    return True


def serve(loaded: list[str], seconds: float = 60.0) -> None:
    """Answer queries for these models; after a while the caller looks whether they are still the right ones."""
    connection = vectors.connection()
    until, shown = time.monotonic() + seconds, 0.0
    while (now := time.monotonic()) < until:
        if now - shown >= SHOWN:
            shown = now
            for name in loaded:
                connection.set(vectors.name_of("embedder", name), 1, ex=ALIVE)
        question = connection.blpop([vectors.REQUESTS], timeout=0.5)
        if question is not None:
            answer(connection, str(question[1]))


def answer(connection: redis.Redis, raw: str) -> None:
    """One query. What cannot be answered is not: whoever asks does without after a moment."""
    asked = msgspec.json.decode(raw, type=vectors.Asked)
    try:
        using = embedder.load(asked.model)
        if asked.user is None:  # the text of a tool, which is asked for where vectors cost nothing
            made: embedder.Vectors | None = using.vectors([asked.text], urgent=True)
        else:
            made = paid(using, asked.model, [asked.text], asked.user, None, urgent=True)
    except (ProviderError, embedder.Unavailable) as error:
        logger.warning("no vector for a query: %s", error)
        return
    if made is not None:
        name = f"search:answer:{asked.id}"
        with connection.pipeline(transaction=False) as pipe:
            pipe.rpush(name, made.texts[0])
            pipe.expire(name, KEPT)
            pipe.set(vectors.name_of("vector", asked.model, asked.text), made.texts[0], ex=vectors.REMEMBERED)
            pipe.execute()
