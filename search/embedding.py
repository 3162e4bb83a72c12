"""Giving passages their vectors: what is due is leased, embedded, stored. Whoever dies on the way leaves it due again."""

from __future__ import annotations

import logging
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing.actions import release, reserve_side_call, settle_side_call
from billing.side_calls import SideCall
from search import embedder
from search.embedder import Embedder, Vectors
from search.models import Passage
from threads.providers.base import ProviderError

logger = logging.getLogger(__name__)

AT_ONCE = 32  # passages
LEASE = "30 seconds"  # many times what they take
UNPAID_AGAIN = "1 hour"
LONGEST_PAUSE = 3600  # seconds between two tries
MARGIN_TOKENS = 16  # that a model adds to each text

# The newest first: what was just said is searched for sooner than what a new model goes through for the second time.
# Picked once, whatever the plan: as a subquery of IN it may run again for each row, and each time it would skip what the last one locked.
LEASED = f"""
WITH picked AS MATERIALIZED (
    SELECT p.id FROM search_passage p JOIN search_generation g ON g.id = p.generation_id AND g.model = %s AND g.state <> 'retired'
    WHERE p.due_at <= now() ORDER BY p.due_at DESC LIMIT %s FOR UPDATE OF p SKIP LOCKED
)
UPDATE search_passage p SET due_at = now() + interval '{LEASE}', tries = least(p.tries + 1, 1000) FROM picked WHERE p.id = picked.id
RETURNING p.id, p.user_id, p.key_id, p.thread_id, p.end_user_id, p.text, p.tries
"""
STORE = """
UPDATE search_passage p SET vector = given.vector::halfvec, due_at = NULL
FROM unnest(%s::bigint[], %s::text[]) AS given(id, vector) WHERE p.id = given.id
"""
LATER = "UPDATE search_passage SET due_at = now() + %s::interval WHERE id = ANY(%s)"


class Due(NamedTuple):
    id: int
    user_id: UUID
    key_id: UUID | None
    thread_id: UUID
    end_user_id: str | None
    text: str
    tries: int

    @property
    def payer(self) -> tuple[str, str, str, str]:
        return str(self.user_id), str(self.key_id or ""), str(self.thread_id), self.end_user_id or ""


def embed_due(model: str, most: int = AT_ONCE) -> int:
    """Give up to `most` passages of the model's generations their vectors; how many were taken. Raises embedder.Unavailable."""
    using = embedder.load(model)
    with connection.cursor() as cursor:
        cursor.execute(LEASED, [model, most])
        due = [Due(*row) for row in cursor.fetchall()]
    for group in _groups(due):
        _embed(using, model, group)
    return len(due)


def is_due() -> bool:
    """Whether a passage waits for its vector now."""
    return Passage.objects.filter(due_at__lte=timezone.now()).exists()


def _groups(due: list[Due]) -> list[list[Due]]:
    """What goes into one call: everything, or where it costs something, what the same budget pays for."""
    if not _priced():
        return [due] if due else []
    return [list(group) for _, group in groupby(sorted(due, key=lambda one: one.payer), key=lambda one: one.payer)]


def _embed(using: Embedder, model: str, due: list[Due]) -> None:
    first = due[0]
    try:
        made = paid(using, model, [one.text for one in due], first.user_id, first.key_id, first.thread_id, first.end_user_id)
    except ProviderError as error:
        if len(due) > 1 and not error.retryable:  # one of them may be what it stumbles over
            for one in due:
                _embed(using, model, [one])
            return
        logger.warning("no vectors for %d passages: %s (HTTP %s)", len(due), error.kind, error.status)
        _put_off(due, f"{min(LONGEST_PAUSE, 5 * 2 ** min(first.tries, 12))} seconds")
        return
    if made is None:
        _put_off(due, UNPAID_AGAIN)
        return
    with connection.cursor() as cursor:
        cursor.execute(STORE, [[one.id for one in due], made.texts])


def paid(
    using: Embedder,
    model: str,
    texts: list[str],
    user_id: UUID,
    key_id: UUID | None,
    thread_id: UUID | None = None,
    end_user_id: str | None = None,
    urgent: bool = False,
) -> Vectors | None:
    """The vectors, held and settled like every call that costs something; None when the budget has not that much. Raises ProviderError.

    Without a price there is neither hold nor line: a model in this process costs nobody anything.
    """
    if not _priced():
        return using.vectors(texts, urgent)
    call = _call(model, texts, user_id, key_id, thread_id, end_user_id)
    if reserve_side_call(call).micros is None:
        return None
    try:
        made = using.vectors(texts, urgent)
    except ProviderError:
        release(call.id)
        raise
    settle_side_call(call, {"input_tokens": made.tokens})
    return made


def _call(model: str, texts: list[str], user_id: UUID, key_id: UUID | None, thread_id: UUID | None, end_user_id: str | None) -> SideCall:
    price = dict.fromkeys(("input", "output", "cache_read", "cache_write"), str(settings.EMBEDDING_PRICE_USD))
    given: dict[str, Any] = {"thread_id": thread_id, "end_user_id": end_user_id}
    most = sum(len(text.encode()) + MARGIN_TOKENS for text in texts)
    return SideCall(
        "embedding", user_id, key_id, provider="embeddings", model=model[:100], price=price, input_tokens=most, max_tokens=0, **given
    )


def _priced() -> bool:
    return bool(settings.EMBEDDING_BASE_URL and settings.EMBEDDING_PRICE_USD)


def _put_off(due: list[Due], pause: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(LATER, [pause, [one.id for one in due]])
