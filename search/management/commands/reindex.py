"""`manage.py reindex`: builds the index anew beside the one that answers, or proves that the one that answers is complete."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from search import checking, generations, outbox, vectors
from search.models import Generation, Passage
from threads.models import Message

BAR = 40  # characters
EVERY = 10.0  # seconds between two lines where nobody watches a terminal
LOOK = 1.0  # seconds between two looks at what the embedder has done


class Command(BaseCommand):
    help = "Rebuilds the search index; goes on where it was interrupted. Searches are answered by the old one meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Change nothing: prove that every message is indexed once.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.told = 0.0
        if options["check"]:
            self.prove()
        else:
            self.rebuild()

    def prove(self) -> None:
        total, report = Message.objects.count(), checking.Report()
        for report in checking.check():
            self.progress("checked", report.seen, total)
        self.stdout.write(
            f"{report.messages:,} messages in {report.passages:,} passages; {report.without_vector:,} passages wait for their vector, "
            f"{report.waiting:,} turns for their words; {report.differ:,} messages differ."
        )
        if report.differ:
            raise CommandError(f"Not complete: {', '.join(map(str, report.examples))} … `manage.py reindex` makes it anew.")

    def rebuild(self) -> None:
        generations.ensure()
        while outbox.take():
            pass
        unfilled = Generation.objects.exclude(state=Generation.State.RETIRED).filter(filled_at=None).order_by("-id").first()
        generation = unfilled or generations.rebuild()
        if unfilled is not None and unfilled.messages_done:
            self.stdout.write(f"Going on behind {unfilled.messages_done:,} messages.")
        while generation.filled_at is None:
            if not generations.fill():
                time.sleep(LOOK)  # `worker` is at it
            generation.refresh_from_db()
            self.progress("words", generation.messages_done, max(generation.messages_total, generation.messages_done))
        self.wait_for_vectors(generation)
        generations.promote()
        generation.refresh_from_db()
        answers = generation.state == Generation.State.SERVING
        self.stdout.write("The index is complete and answers." if answers else "It will answer when it has its vectors.")

    def wait_for_vectors(self, generation: Generation) -> None:
        """Watch the embedder at work for as long as there is one."""
        mine = Passage.objects.filter(generation=generation)
        total = mine.count()
        while left := mine.filter(due_at__isnull=False, tries__lt=generations.GIVEN_UP).count():
            if not vectors.somebody_embeds([generation.model]):
                self.stdout.write(f"Nobody embeds now: {left:,} passages get their vectors when an `embed` process runs.")
                return
            self.progress("vectors", total - left, total)
            time.sleep(LOOK)

    def progress(self, what: str, done: int, total: int) -> None:
        part = done / total if total else 1.0
        line = f"{what:8} {done:,} of {total:,} ({part:.0%})"
        if self.stderr.isatty():
            self.stderr.write(f"\r[{'#' * int(BAR * part):{BAR}}] {line}", ending="\n" if done >= total else "")
        elif time.monotonic() - self.told > EVERY or done >= total:
            self.told = time.monotonic()
            self.stderr.write(line)
