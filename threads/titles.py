"""Naming a conversation: one short question to the task model after the first answer."""

from __future__ import annotations

import asyncio
import logging

from threads.actions import set_title_of_model
from threads.blocks import Partial, text_of
from threads.models import Message, Thread
from threads.providers import catalog
from threads.providers.base import ProviderError, Request

logger = logging.getLogger(__name__)

SYSTEM = (
    "Write a title for this conversation: at most six words, in the language of the conversation, no quotation marks, "
    "no full stop. Answer with the title and nothing else."
)
EXCERPT = 1500  # characters of each message
MOST_TOKENS = 60


def name_thread(thread_id: str) -> None:
    """Give the thread a title unless a person did, or somebody else is at it, or it is gone."""
    taken = Thread.objects.filter(pk=thread_id, deleted_at=None, title_due=True).update(title_due=False)
    if taken != 1:
        return
    info = catalog.model_info(catalog.task_model())
    messages = list(Message.objects.filter(thread_id=thread_id, seq__isnull=False).order_by("seq")[:2])
    excerpt = "\n\n".join(f"{message.role}: {text_of(message.content)[:EXCERPT]}" for message in messages)
    if info is None or not excerpt:
        return
    request = Request(
        model=info,
        messages=[{"role": "user", "content": [{"type": "text", "text": excerpt}]}],
        max_tokens=MOST_TOKENS,
        system=SYSTEM,
    )
    try:
        title = asyncio.run(_complete(request))
    except ProviderError as error:
        # The first words stay; the next answer makes it due again.
        logger.warning("no title for %s: %s %s", thread_id, error.kind, error.detail)
        return
    if thread := Thread.objects.filter(pk=thread_id).first():  # it can be erased while the model thinks
        set_title_of_model(thread, title)


async def _complete(request: Request) -> str:
    partial = Partial()
    try:
        async for event in catalog.provider_for(request.model).stream(request):
            partial.add(event)
    finally:
        await catalog.close_providers()  # their connections belong to this loop
    return text_of(partial.content())
