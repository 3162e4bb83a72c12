"""Background jobs. Each works off what the database says is to be done, so a job that is lost is only late."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from search import answering, embedder, embedding, generations, outbox, vectors

logger = logging.getLogger(__name__)

QUEUE = "embed"  # one process per machine consumes it (see Procfile): models are large
ROUND = 20.0  # seconds after which a job ends, so that the next one begins with a new look
EXPIRES = 4  # seconds; nobody need catch up with what was asked for meanwhile, since each job finds all the work


@worker_ready.connect
def answer_queries(sender: Any, **_: Any) -> None:
    """Whoever embeds passages gives queries their vectors too."""
    if QUEUE in sender.app.amqp.queues.consume_from:
        answering.start()


@shared_task(name="search.index_new")
def index_new() -> None:
    """The words of what was said since. Embedding is asked for only of somebody who is there: unread jobs would pile up."""
    until = time.monotonic() + ROUND
    while outbox.take() and time.monotonic() < until:
        pass
    if embedding.is_due() and vectors.somebody_embeds(generations.models()):
        embed_due.apply_async(expires=EXPIRES, retry=False)


@shared_task(name="search.embed_due")
def embed_due() -> None:
    """The meaning of what has none yet."""
    until = time.monotonic() + ROUND
    for model in generations.models():
        try:
            while embedding.embed_due(model) and time.monotonic() < until:
                pass
        except embedder.Unavailable as error:
            logger.warning("no meaning for now: %s", error)


@shared_task(name="search.keep")
def keep() -> None:
    """What a generation needs to become the next one, and what is left of the one before."""
    generations.ensure()
    until = time.monotonic() + ROUND
    while generations.fill() and time.monotonic() < until:
        pass
    generations.promote()
    while generations.forget() and time.monotonic() < until:
        pass


@shared_task(name="search.find_large")
def find_large() -> None:
    while generations.find_large():
        pass
