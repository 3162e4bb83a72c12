"""How the index is: what is in it, what waits, what fails."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db import connection
from django.db.models import Min
from django.utils import timezone

from search import choice, generations, vectors
from search.models import Generation, Passage
from threads.models import Outbox

MOST_COUNTED = 100_000  # more is said as "more than": counting millions would take seconds

ROWS = """
SELECT CASE WHEN reltuples > %(most)s THEN reltuples::bigint
    ELSE (SELECT count(*) FROM (SELECT FROM search_passage LIMIT %(most)s) counted) END
FROM pg_class WHERE oid = 'search_passage'::regclass
"""


@dataclass(frozen=True, slots=True)
class Health:
    passages: int
    estimated: bool  # there are so many that it is what the database thinks
    without_words: int  # turns that wait for their words
    without_vector: int  # passages that wait for their vector
    failing: int  # of those: tried so often that they keep nothing waiting
    capped: bool  # whether one of the counts stopped at MOST_COUNTED
    lag: dt.timedelta  # how long the oldest of all these waits
    embedders: bool  # whether somebody makes vectors
    configured: str
    generations: list[Generation]


def health() -> Health:
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(ROWS, {"most": MOST_COUNTED})
        (passages,) = cursor.fetchone()
    due = Passage.objects.filter(due_at__isnull=False)
    counts = [
        rows[:MOST_COUNTED].count() for rows in (Outbox.objects.order_by(), due, due.filter(tries__gte=generations.GIVEN_UP).order_by())
    ]
    oldest = [
        Outbox.objects.aggregate(at=Min("created_at"))["at"],
        due.filter(tries__lt=generations.GIVEN_UP).aggregate(at=Min("due_at"))["at"],
    ]
    return Health(
        passages=passages,
        estimated=passages >= MOST_COUNTED,
        without_words=counts[0],
        without_vector=counts[1],
        failing=counts[2],
        capped=MOST_COUNTED in counts,
        lag=max((now - at for at in oldest if at is not None and at < now), default=dt.timedelta()),
        embedders=vectors.somebody_embeds(generations.models()),
        configured=choice.configured(),
        generations=list(Generation.objects.exclude(state=Generation.State.RETIRED).order_by("-pk")),
    )
