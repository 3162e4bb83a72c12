"""Naming a conversation: one short question to the task model after the first answer."""

from __future__ import annotations

import asyncio
import logging

from billing.actions import reserve_side_call
from billing.estimate import input_bound
from billing.side_calls import SideCall
from threads import side_costs
from threads.actions import set_title_of_model
from threads.blocks import Partial, text_of
from threads.models import Message, Thread
from threads.providers import catalog
from threads.providers.base import ProviderError, Request
from threads.replies.meter import CHARS_PER_TOKEN, Meter

logger = logging.getLogger(__name__)

SYSTEM = (
    "Write a title for this conversation: at most six words, in the language of the conversation, no quotation marks, "
    "no full stop. Answer with the title and nothing else."
)
EXCERPT = 1500  # characters of each message
FIRST = 20  # messages of which the first two with words are read
MOST_TOKENS = 60


def name_thread(thread_id: str) -> None:
    """Give the thread a title unless a person did, or somebody else is at it, or it is gone."""
    taken = Thread.objects.filter(pk=thread_id, deleted_at=None, title_due=True).update(title_due=False)
    thread = Thread.objects.filter(pk=thread_id).select_related("user").first() if taken == 1 else None
    info = catalog.model_info(catalog.task_model())
    if thread is None or info is None or not thread.user.side_calls:
        return
    messages = Message.objects.filter(thread=thread, seq__isnull=False).order_by("seq")[:FIRST]
    said = [(message.role, text) for message in messages if (text := text_of(message.content))]  # calls of tools say nothing
    excerpt = "\n\n".join(f"{role}: {text[:EXCERPT]}" for role, text in said[:2])
    if not excerpt:
        return
    request = Request(
        model=info,
        messages=[{"role": "user", "content": [{"type": "text", "text": excerpt}]}],
        max_tokens=MOST_TOKENS,
        system=SYSTEM,
    )
    call = _call(thread, request)
    if reserve_side_call(call).micros is None:
        return  # the first words stay
    try:
        title = _complete(request, call)
    except ProviderError as error:
        # The first words stay; the next answer makes it due again. Not the detail: a vendor's message may quote what it was sent.
        logger.warning("no title for %s: %s (HTTP %s)", thread_id, error.kind, error.status)
        return
    if thread := Thread.objects.filter(pk=thread_id).first():  # it can be erased while the model thinks
        set_title_of_model(thread, title)


def _call(thread: Thread, request: Request) -> SideCall:
    return SideCall(
        kind="title",
        user_id=thread.user_id,
        key_id=thread.key_id,
        thread_id=thread.pk,
        end_user_id=thread.end_user_id,
        provider=request.model.provider,
        model=request.model.slug,
        price=request.model.price,
        input_tokens=input_bound(request.messages, request.system, [], request.model.context_window),
        max_tokens=request.max_tokens,
    )


def _complete(request: Request, call: SideCall) -> str:
    """The title; whatever became of the call, what it has used is settled."""
    partial, meter = Partial(), Meter()
    try:
        asyncio.run(_ask(request, partial, meter))
    finally:
        side_costs.settle(call, meter.figures(call.input_tokens // CHARS_PER_TOKEN))
    return text_of(partial.content())


async def _ask(request: Request, partial: Partial, meter: Meter) -> None:
    try:
        async for events in catalog.provider_for(request.model).stream(request):
            for event in events:
                meter.add(event)
                partial.add(event)
    finally:
        await catalog.close_providers()  # their connections belong to this loop
