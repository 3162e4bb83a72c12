"""Read the chains of tool calls and name every row that is not as it was written."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from threads import chain
from threads.models import ToolCall

SHOWN = 100


class Command(BaseCommand):
    help = "Checks the chain over tool calls, of all turns or of those given. Ends with status 1 when a row was changed or is gone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("turns", nargs="*", type=UUID, help="ids of turns")

    def handle(self, *args: Any, turns: list[UUID], **options: Any) -> None:
        found = 0
        for finding in chain.check(turns or None):
            found += 1
            if found <= SHOWN:
                self.stdout.write(str(finding))
        if found:
            raise CommandError(f"{found} finding{'s' if found > 1 else ''}: somebody or something changed what was written.")
        checked = ToolCall.objects.exclude(chain_number=None)
        count = (checked.filter(turn__in=turns) if turns else checked).count()
        self.stdout.write(f"All {count} finished calls are as they were written.")
