"""Background jobs. Each works off what the database says is to be done, so a job that is lost is only late."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down

from search import answering, embedder, embedding, generations, outbox, vectors

logger = logging.getLogger(__name__)

QUEUE = "embed"  # one process per machine consumes it (see Procfile): models are large
ROUND = 20.0  # seconds after which a job ends, so that the next one begins with a new look
EXPIRES = 4  # seconds; nobody need catch up with what was asked for meanwhile, since each job finds all the work


_stopping = threading.Event()


@worker_shutting_down.connect
def stop_soon(**_: Any) -> None:
    """What is not done is found by the next process."""
    _stopping.set()


@worker_ready.connect
def answer_queries(sender: Any, **_: Any) -> None:
    """Whoever embeds passages gives queries their vectors too."""
    if QUEUE in sender.app.amqp.queues.consume_from:
        answering.start()


class Round:
    """How long one job goes on."""

    def __init__(self) -> None:
        self.until = time.monotonic() + ROUND

    def goes_on(self) -> bool:
        return not _stopping.is_set() and time.monotonic() < self.until


@shared_task(name="search.index_new")
def index_new() -> None:
    """The words of what was said since. Embedding is asked for only of somebody who is there: unread jobs would pile up."""
    work = Round()
    while outbox.take() and work.goes_on():
        pass
    if embedding.is_due() and vectors.somebody_embeds(generations.models()):
        embed_due.apply_async(expires=EXPIRES, retry=False)


@shared_task(name="search.embed_due")
def embed_due() -> None:
    """The meaning of what has none yet."""
    work = Round()
    for model in generations.models():
        try:
            while embedding.embed_due(model) and work.goes_on():
                pass
        except embedder.Unavailable as error:
            logger.warning("no meaning for now: %s", error)


@shared_task(name="search.keep")
def keep() -> None:
    """What a generation needs to become the next one, and what is left of the one before."""
    generations.ensure()
    work = Round()
    while generations.fill() and work.goes_on():
        pass
    generations.promote()
    while generations.forget() and work.goes_on():
        pass


@shared_task(name="search.find_large")
def find_large() -> None:
    while generations.find_large():
        pass
