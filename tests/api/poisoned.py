"""`manage.py runreplies`, except that one question ends the process on the spot, as a fault in a C library would."""

import os
import signal
from collections.abc import AsyncIterator

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatai.settings")
django.setup()

from django.core.management import call_command  # noqa: E402

from threads.blocks import Event  # noqa: E402
from threads.providers import demo  # noqa: E402
from threads.providers.base import Request  # noqa: E402

POISON = "poison"


class PoisonedProvider(demo.DemoProvider):
    async def stream(self, request: Request) -> AsyncIterator[list[Event]]:
        if POISON in str(request.messages[-1]["content"]):
            os.kill(os.getpid(), signal.SIGKILL)
        async for events in super().stream(request):
            yield events


if __name__ == "__main__":
    demo.DemoProvider = PoisonedProvider  # type: ignore[misc]
    call_command("runreplies")
