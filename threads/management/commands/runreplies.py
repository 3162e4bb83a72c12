"""`manage.py runreplies`: the process that writes answers."""

import asyncio
from typing import Any

import uvloop
from django.core.management.base import BaseCommand

from threads.replies.runner import Runner


class Command(BaseCommand):
    help = "Claims queued turns, talks to the providers and writes the answers. Start as many as you like."
    # What the environment says must fit here too. The rest is for `migrate`: to check addresses all views are imported, 13 MB here.
    requires_system_checks = ["configuration"]

    def handle(self, **_options: Any) -> None:
        async def main() -> None:
            await Runner().run()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
