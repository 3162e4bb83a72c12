"""Everything that changes a conversation. Every door (pages, API, admin) calls these and nothing else writes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from billing.actions import erase_end_user
from chatai.lib import hints
from chatai.lib.ids import uuid7
from threads import branches, stopping, tool_options
from threads.admission import Admission, OnBusy, admit_known, admit_turn
from threads.blocks import Block, clean, clean_text, dump_json
from threads.branches import switch
from threads.models import Message, Thread, Turn
from threads.refusals import Refused, missing
from threads.stopping import stop_turn, withdraw
from tools import credentials

if TYPE_CHECKING:
    from accounts.models import ApiKey, User

__all__ = ["Admission", "OnBusy", "Refused", "admit_known", "admit_turn", "stop_turn", "switch", "withdraw"]


def create_thread(
    user: User,
    key: ApiKey | None = None,
    *,
    id: UUID | None = None,
    model: str = "",
    title: str = "",
    end_user_id: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Thread:
    """An empty thread of `user`, made with `key` (the person's own key when none is given)."""
    owner_key = key or user.api_keys.filter(personal=True, revoked_at=None).first()
    given = clean({"title": title, "end_user_id": end_user_id, "metadata": metadata, "model": model})
    source = Thread.TitleSource.USER if title else Thread.TitleSource.WORDS
    return Thread.objects.create(id=id or uuid7(), user=user, key=owner_key, title_source=source, **given)


def merge_metadata(user: User, thread_id: UUID, metadata: dict[str, Any], most_bytes: int) -> None:
    """Shallowly: keys given replace, others stay."""
    with transaction.atomic():
        thread = Thread.objects.for_user(user).select_for_update(of=("self",)).filter(pk=thread_id).first()
        if thread is None:
            raise missing()
        merged = {**(thread.metadata or {}), **clean(metadata)}
        if len(dump_json(merged)) > most_bytes:
            raise Refused(400, "invalid_request_error", f"metadata: at most {most_bytes // 1024} KiB as JSON.")
        _change(user, thread_id, metadata=merged)


def set_title(user: User, thread_id: UUID, title: str) -> None:
    """A title by an app; an empty one clears it, and the next answer names the thread."""
    if title.strip():
        rename(user, thread_id, title)
    else:
        _change(user, thread_id, title="", title_source=Thread.TitleSource.WORDS)


def delete_empty(key: ApiKey) -> int:
    """Delete the key's threads without a message that are older than a minute; how many."""
    old = timezone.now() - timedelta(seconds=60)
    empty = Thread.objects.for_key(key).filter(turn_count=0, created_at__lt=old)
    return empty.update(deleted_at=timezone.now(), changed_at=timezone.now())


def delete_end_user(key: ApiKey, end_user_id: str) -> int:
    """Delete every thread of one end user of an app, and what they connected; how many threads. Running turns are stopped first."""
    credentials.erase_end_user(key, end_user_id)
    ids = list(Thread.objects.for_key(key).filter(end_user_id=end_user_id).values_list("pk", flat=True))
    for thread_id in ids:
        delete_thread(key.user, thread_id)
    if ids:
        erase_end_user(key.user, end_user_id)
    return len(ids)


def edit(
    user: User, turn_id: UUID, *, content: str | list[Block], model: str = "", request_id: str, key: ApiKey | None = None
) -> Admission:
    """Ask another wording of that turn's question: a sibling of the turn, answered anew. A text replaces the text alone."""
    turn, question = branches.question_of(user, turn_id)
    content = branches.reworded(question, content) if isinstance(content, str) else content
    model = model or turn.model
    options = tool_options.of(turn)
    return admit_turn(
        user, turn.thread_id, content=content, model=model, request_id=request_id, key=key, options=options, instead_of=turn_id
    )


def regenerate(user: User, turn_id: UUID, *, model: str = "", request_id: str, key: ApiKey | None = None) -> Admission:
    """Ask the same again, of `model` or the one asked before: a sibling of the turn."""
    turn, question = branches.question_of(user, turn_id)
    return admit_turn(
        user,
        turn.thread_id,
        content=question,
        model=model or turn.model,
        request_id=request_id,
        key=key,
        options=turn.options,
        instead_of=turn_id,
    )


def stop(user: User, thread_id: UUID) -> None:
    """End the turn that is answered now, or would be next; what it has written stays. No such turn: nothing to do."""
    stopping.stop_first(user, thread_id)


def rate(user: User, turn_id: UUID, rating: int | None) -> UUID:
    """What the person thinks of that turn's answer: Message.Rating, or None for nothing any more. The thread's id."""
    mine = Message.objects.for_user(user).filter(turn=turn_id, role=Message.Role.ASSISTANT, seq__isnull=False)
    answer = mine.exclude(status=Message.Status.STREAMING).order_by("-seq").first()
    if answer is None:
        raise missing()
    with transaction.atomic():
        Message.objects.filter(pk=answer.pk).update(rating=rating)
        Turn.objects.filter(pk=turn_id).update(changed_at=timezone.now())
        transaction.on_commit(lambda: hints.announce("live", "threads", answer.thread_id))
    return answer.thread_id


def rename(user: User, thread_id: UUID, title: str) -> None:
    title = " ".join(clean_text(title).split())
    if not 1 <= len(title) <= 200:
        raise Refused(400, "invalid_request_error", "A title has 1 to 200 characters.")
    _change(user, thread_id, title=title, title_source=Thread.TitleSource.USER, title_due=False)


def set_title_of_model(thread: Thread, title: str) -> None:
    """A title written by the task model; one that a person gave in the meantime stays."""
    title = " ".join(clean_text(title).split()).strip("\"'“”.")[:200]
    unnamed = Thread.objects.filter(pk=thread.pk, title_source__in=[Thread.TitleSource.WORDS, Thread.TitleSource.MODEL])
    if title and unnamed.update(title=title, title_source=Thread.TitleSource.MODEL, changed_at=timezone.now()):
        transaction.on_commit(lambda: hints.announce("live", "rows", thread.pk))


def set_pinned(user: User, thread_id: UUID, pinned: bool) -> None:
    _change(user, thread_id, pinned_at=timezone.now() if pinned else None)


def set_archived(user: User, thread_id: UUID, archived: bool) -> None:
    _change(user, thread_id, archived_at=timezone.now() if archived else None)


def delete_thread(user: User, thread_id: UUID) -> None:
    """Gone from every view at once; erased for good by a task after the time for undo."""
    with transaction.atomic():
        thread = branches.locked(user, thread_id)  # before its turn, as whoever finishes that one does
        if thread.active_turn_id is not None:
            stopping.request_stop(thread.active_turn_id)
        _change(user, thread_id, deleted_at=timezone.now())


def undo_delete(user: User, thread_id: UUID) -> None:
    now = timezone.now()
    if not Thread.objects.deleted_of(user).filter(pk=thread_id).update(deleted_at=None, changed_at=now):
        _owned(user, thread_id)  # undoing twice is no error; a foreign thread is
    transaction.on_commit(lambda: hints.announce("live", "rows", thread_id))


def _change(user: User, thread_id: UUID, **fields: Any) -> None:
    if not Thread.objects.for_user(user).filter(pk=thread_id).update(changed_at=timezone.now(), **fields):
        raise missing()
    transaction.on_commit(lambda: hints.announce("live", "rows", thread_id))


def _owned(user: User, thread_id: UUID) -> Thread:
    thread = Thread.objects.for_user(user).filter(pk=thread_id).first()
    if thread is None:
        raise missing()
    return thread
