"""The proof that every message that is to be found is in the index, once and as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from search import index
from search.chunks import passages
from search.models import Generation
from threads.models import Message, Outbox

AT_ONCE = 2000  # messages
EXAMPLES = 10

LOOK = f"""
SELECT m.id, {index.ENDS}, {index.TEXT}, p.stored, p.parts, p.bare, p.astray
FROM threads_message m JOIN threads_thread th ON th.id = m.thread_id
CROSS JOIN LATERAL (
    SELECT count(*) AS stored, max(p.passages) AS parts, count(*) FILTER (WHERE p.vector IS NULL) AS bare,
        count(*) FILTER (WHERE p.on_path <> m.on_path OR p.user_id <> th.user_id OR p.thread_id <> m.thread_id) AS astray
    FROM search_passage p WHERE p.message_id = m.id AND p.generation_id = %s
) p
WHERE m.id = ANY(%s)
ORDER BY m.id
"""


class Looked(NamedTuple):
    id: UUID
    wanted: bool
    text: str | None
    stored: int
    parts: int | None
    bare: int
    astray: int

    @property
    def differs(self) -> bool:
        """Whether the index holds something else than it should."""
        if self.astray or self.stored != (self.parts or 0):
            return True
        return bool(self.stored) != bool(self.wanted and self.text and passages(self.text))


@dataclass(slots=True)
class Report:
    seen: int = 0  # messages
    messages: int = 0  # that are to be found
    passages: int = 0
    without_vector: int = 0  # passages that are found by their words only, for now
    waiting: int = 0  # turns that ended and are not indexed yet
    differ: int = 0
    examples: list[UUID] = field(default_factory=list)


def check() -> Iterator[Report]:
    """What was found so far, again and again until all messages are through.

    What ends while it looks is not counted as missing as long as it waits in the outbox.
    """
    report = Report()
    serving = Generation.objects.filter(state=Generation.State.SERVING).first()
    for ids in _all_messages():
        with connection.cursor() as cursor:
            cursor.execute(LOOK, [serving.pk if serving else 0, ids])
            looked = [Looked(*row) for row in cursor.fetchall()]
        _add(report, looked)
        report.seen += len(ids)
        yield report
    report.waiting = Outbox.objects.filter(kind=Outbox.Kind.INDEX).count()
    yield report


def _add(report: Report, looked: list[Looked]) -> None:
    wrong = {one.id for one in looked if one.differs}
    if wrong:
        waiting = Outbox.objects.filter(kind=Outbox.Kind.INDEX).values("turn_id")
        wrong -= set(Message.objects.filter(pk__in=wrong, turn_id__in=waiting).values_list("pk", flat=True))
    report.messages += sum(one.stored > 0 for one in looked)
    report.passages += sum(one.stored for one in looked)
    report.without_vector += sum(one.bare for one in looked)
    report.differ += len(wrong)
    report.examples += sorted(wrong)[: EXAMPLES - len(report.examples)]


def _all_messages() -> Iterator[list[UUID]]:
    messages, last = Message.objects.order_by("id"), None
    while ids := list((messages.filter(pk__gt=last) if last else messages).values_list("pk", flat=True)[:AT_ONCE]):
        yield ids
        last = ids[-1]
