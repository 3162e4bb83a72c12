"""Taking in turns that ended."""

from __future__ import annotations

from django.db import transaction

from search import generations, index
from threads.models import Outbox

AT_ONCE = 50  # turns


def take(most: int = AT_ONCE) -> int:
    """Index turns that ended; how many. What another process is at is left to it; what one died over is taken again."""
    generations.ensure()
    with transaction.atomic():
        rows = Outbox.objects.filter(kind=Outbox.Kind.INDEX).order_by("id").select_for_update(skip_locked=True)[:most]
        taken = {row.pk: row.turn_id for row in rows}
        if taken:
            index.index_turns(set(taken.values()))
            Outbox.objects.filter(pk__in=taken).delete()
    return len(taken)
