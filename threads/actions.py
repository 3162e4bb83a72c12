"""Everything that changes a conversation. Every door (pages, API, admin) calls these and nothing else writes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from chatai.lib import hints
from chatai.lib.ids import uuid7
from threads import load
from threads.blocks import Block, clean, clean_text, text_of
from threads.models import Message, Thread, Turn
from threads.providers.catalog import is_offered, model_info

if TYPE_CHECKING:
    from accounts.models import ApiKey, User
    from threads.providers.base import ModelInfo

TITLE_WORDS = 60  # characters of the first message that stand in for a title


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """The request cannot be done. `message` is a sentence for the person, `status` what an HTTP door answers."""

    def __init__(self, status: int, kind: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.retry_after = retry_after  # seconds


@dataclass(frozen=True, slots=True)
class Admission:
    turn_id: UUID
    thread_id: UUID
    replayed: bool  # the request id was known: nothing new was stored
    thread_created: bool = False


def create_thread(user: User, key: ApiKey | None = None, *, id: UUID | None = None, model: str = "") -> Thread:
    """An empty thread of `user`, made with `key` (the person's own key when none is given)."""
    owner_key = key or user.api_keys.filter(personal=True, revoked_at=None).first()
    return Thread.objects.create(id=id or uuid7(), user=user, key=owner_key, model=model)


ADMIT = """
WITH thread AS (
    UPDATE threads_thread SET
        turn_count = turn_count + 1, model = %(model)s, last_active_at = now(), changed_at = now(), archived_at = NULL,
        title = CASE WHEN title = '' AND title_source = 'words' THEN %(title)s ELSE title END
    WHERE id = %(thread)s AND user_id = %(user)s AND deleted_at IS NULL
    RETURNING id, turn_count, key_id
), turn AS (
    INSERT INTO threads_turn (id, thread_id, key_id, number, request_id, request_digest, model, options, price, status, epoch,
        attempts, runner, error_kind, error_message, usage, cost_micros, created_at, changed_at)
    SELECT %(turn)s, id, coalesce(%(key)s, key_id), turn_count, %(request)s, %(digest)s, %(model)s, %(options)s, %(price)s,
        'queued', 0, 0, '', '', '', '{}', 0, now(), now()
    FROM thread
    ON CONFLICT (thread_id, request_id) DO NOTHING
    RETURNING id, thread_id
), messages AS (
    INSERT INTO threads_message (id, thread_id, turn_id, role, content, status, model, stop_reason, cost_micros, created_at)
    SELECT m.id, turn.thread_id, turn.id, m.role, m.content, m.status, m.model, '', 0, now()
    FROM turn, (VALUES
        (%(question)s::uuid, 'user', %(content)s::jsonb, 'complete', ''),
        (%(answer)s::uuid, 'assistant', '[]'::jsonb, 'streaming', %(model)s)
    ) AS m(id, role, content, status, model)
)
SELECT (SELECT turn_count FROM thread), (SELECT count(*) FROM turn)
"""


def admit_turn(
    user: User,
    thread_id: UUID,
    *,
    content: str | list[Block],
    model: str,
    request_id: str,
    key: ApiKey | None = None,
    create: bool = False,
    options: dict[str, Any] | None = None,
) -> Admission:
    """Store a question and queue its turn, once per (thread, request_id). Raises Refused.

    One statement: the thread's row lock orders the sends and hands out their numbers (two when the thread is new).
    """
    info = _known_model(model)
    blocks = _question(content)
    _check_request_id(request_id)
    options = clean(options or {})
    digest = hashlib.sha256(msgspec.json.encode([blocks, info.slug, options], order="deterministic")).digest()
    if load.queue_is_full():
        raise Refused(503, "overloaded_error", "Too many answers are being written right now. Try again in a moment.", load.RETRY_AFTER)
    turn_id = uuid7()
    values = {
        "thread": thread_id,
        "user": user.pk,
        "key": key.pk if key else None,
        "turn": turn_id,
        "question": uuid7(),
        "answer": uuid7(),
        "request": request_id,
        "digest": digest,
        "model": info.slug,
        "title": first_words(text_of(blocks)),
        "content": msgspec.json.encode(blocks).decode(),
        "options": msgspec.json.encode(options).decode(),
        "price": msgspec.json.encode(info.price).decode(),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        if create:
            _create_if_missing(user, thread_id)
        cursor.execute(ADMIT, values)
        number, stored = cursor.fetchone()
        if number is None:
            raise _missing()
        if not stored:
            transaction.set_rollback(True)  # a replay changes nothing, not even the thread's place in the list
    if not stored:
        return _replay(thread_id, request_id, digest)
    hints.announce("replies", "work")
    hints.announce("live", "threads", thread_id)
    return Admission(turn_id, thread_id, replayed=False, thread_created=create and number == 1)


def _create_if_missing(user: User, thread_id: UUID) -> None:
    key = user.api_keys.filter(personal=True, revoked_at=None).values_list("pk", flat=True).first()
    Thread.objects.bulk_create([Thread(id=thread_id, user=user, key_id=key)], ignore_conflicts=True)


def _replay(thread_id: UUID, request_id: str, digest: bytes) -> Admission:
    turn = Turn.objects.only("id", "request_digest").get(thread_id=thread_id, request_id=request_id)
    if bytes(turn.request_digest) != digest:
        raise Refused(422, "idempotency_error", "This request id was already used for another message. Send it again as a new one.")
    return Admission(turn.id, thread_id, replayed=True)


def _known_model(slug: str) -> ModelInfo:
    info = model_info(slug)
    if info is None or not is_offered(info):
        raise Refused(400, "invalid_request_error", "This model is not available. Choose another one.")
    return info


def _question(content: str | list[Block]) -> list[Block]:
    blocks: list[Block] = clean([{"type": "text", "text": content}] if isinstance(content, str) else content)
    text = text_of(blocks)
    if not text.strip() and all(block.get("type") == "text" for block in blocks):
        raise Refused(400, "invalid_request_error", "The message is empty.")
    if len(text) > settings.MAX_MESSAGE_CHARS:
        limit = f"{settings.MAX_MESSAGE_CHARS:,}"
        raise Refused(413, "request_too_large", f"The message is too long: {len(text):,} characters, and {limit} is the limit.")
    return blocks


def _check_request_id(request_id: str) -> None:
    if not 1 <= len(request_id) <= 255 or not request_id.isprintable():
        raise Refused(400, "invalid_request_error", "A request id has 1 to 255 printable characters.")


def first_words(text: str) -> str:
    """A provisional title: the beginning of the first message, cut at a word."""
    line = " ".join(text.split())
    if len(line) <= TITLE_WORDS:
        return line
    return line[:TITLE_WORDS].rsplit(" ", 1)[0] + "…"


def stop(user: User, thread_id: UUID) -> None:
    """Ask the running turn to end; what it has written stays. No running turn: nothing to do."""
    thread = _owned(user, thread_id)
    _request_stop(thread)


def _request_stop(thread: Thread) -> None:
    if thread.active_turn_id is None:
        return
    running = Turn.objects.filter(pk=thread.active_turn_id, status=Turn.Status.RUNNING, stop_requested_at=None)
    if running.update(stop_requested_at=timezone.now()):
        transaction.on_commit(lambda: hints.announce("replies", "stop", thread.active_turn_id))


def withdraw(user: User, turn_id: UUID) -> str:
    """Take back a message that is still queued; its text is returned so that it can be edited."""
    turn = Turn.objects.for_user(user).filter(pk=turn_id).first()
    if turn is None:
        raise _missing()
    with transaction.atomic():
        now = timezone.now()
        taken = Turn.objects.filter(pk=turn_id, status=Turn.Status.QUEUED)
        if taken.update(status=Turn.Status.STOPPED, finished_at=now, changed_at=now) != 1:
            raise Refused(409, "conflict_error", "This message is already being answered.")
        waiting = Message.objects.filter(turn_id=turn_id, seq=None)
        text = text_of([block for message in waiting.filter(role="user") for block in message.content])
        waiting.delete()
        _touch(turn.thread_id)
    return text


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
        transaction.on_commit(lambda: hints.announce("live", "threads", thread.pk))


def set_pinned(user: User, thread_id: UUID, pinned: bool) -> None:
    _change(user, thread_id, pinned_at=timezone.now() if pinned else None)


def set_archived(user: User, thread_id: UUID, archived: bool) -> None:
    _change(user, thread_id, archived_at=timezone.now() if archived else None)


def delete_thread(user: User, thread_id: UUID) -> None:
    """Gone from every view at once; erased for good by a task after the time for undo."""
    with transaction.atomic():
        thread = _owned(user, thread_id)
        _request_stop(thread)
        _change(user, thread_id, deleted_at=timezone.now())


def undo_delete(user: User, thread_id: UUID) -> None:
    now = timezone.now()
    if not Thread.objects.deleted_of(user).filter(pk=thread_id).update(deleted_at=None, changed_at=now):
        _owned(user, thread_id)  # undoing twice is no error; a foreign thread is
    transaction.on_commit(lambda: hints.announce("live", "threads", thread_id))


def mark_read(user: User, thread_id: UUID) -> None:
    """The person has the newest message on screen."""
    owned = Thread.objects.for_user(user).filter(pk=thread_id)
    unread = owned.filter(~Q(read_seq=F("last_seq")))
    if unread.update(read_seq=F("last_seq"), changed_at=timezone.now()):
        transaction.on_commit(lambda: hints.announce("live", "threads", thread_id))
    elif not owned.exists():
        raise _missing()


def _change(user: User, thread_id: UUID, **fields: Any) -> None:
    if not Thread.objects.for_user(user).filter(pk=thread_id).update(changed_at=timezone.now(), **fields):
        raise _missing()
    transaction.on_commit(lambda: hints.announce("live", "threads", thread_id))


def _touch(thread_id: UUID) -> None:
    Thread.objects.filter(pk=thread_id).update(changed_at=timezone.now())
    transaction.on_commit(lambda: hints.announce("live", "threads", thread_id))


def _owned(user: User, thread_id: UUID) -> Thread:
    thread = Thread.objects.for_user(user).filter(pk=thread_id).first()
    if thread is None:
        raise _missing()
    return thread


def _missing() -> Refused:
    return Refused(404, "not_found_error", "There is no such conversation.")
