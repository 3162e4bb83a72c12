"""Taking in a question: stored and queued once, in one statement, under the thread's row lock."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from accounts.signed_in import STILL_SIGNED_IN
from billing.actions import open_missing
from billing.estimate import admit_values
from billing.gates import Grant
from billing.statements import ADMIT_GATES, ADMIT_HOLD, GRANT
from chatai.lib import hints
from chatai.lib.ids import uuid7
from chatai.lib.prepared import Statement
from threads import branches, history, load, stopping
from threads.blocks import Block, clean, text_of
from threads.models import Thread, Turn
from threads.providers.base import most_output
from threads.providers.catalog import is_offered, model_info
from threads.refusals import Refused, missing, unpaid
from threads.starting import GIVEN_SECONDS, current_ring
from threads.tool_options import tools_bytes

if TYPE_CHECKING:
    from accounts.models import ApiKey, User
    from accounts.signed_in import Known
    from chatai.lib.link import Link
    from threads.providers.base import ModelInfo

TITLE_WORDS = 60  # characters of the first message that stand in for a title

RUNNER_SEEN = "2500 milliseconds"  # ago, at most: a process that beat since then is taken to be alive

OnBusy = Literal["queue", "reject", "interrupt"]


@dataclass(frozen=True, slots=True)
class Admission:
    turn_id: UUID
    thread_id: UUID
    replayed: bool  # the request id was known: nothing new was stored
    thread_created: bool = False
    position: int = 0  # turns of the thread that come before it; 0: it starts now


# The order of the parts is the order of their locks: the thread, then the budgets (see billing/statements.py). Nothing is written
# unless everything is, so that the statement needs no transaction around it, and the budgets that all sends of an account share stay
# locked for no longer than PostgreSQL takes. What is read in it without a lock may be older than the thread's lock: hence a function
# for the turn to follow and those that wait; a repetition that was not seen yet is found by the unique request id.
MINE = "id = %(thread)s AND user_id = %(user)s AND deleted_at IS NULL"
ADMIT = f"""
WITH thread AS MATERIALIZED (
    SELECT id, turn_count + 1 AS number, coalesce(%(key)s, key_id) AS key_id, active_turn_id, last_seq FROM threads_thread
    WHERE {MINE} AND (%(only_key)s::uuid IS NULL OR key_id = %(only_key)s)
    FOR NO KEY UPDATE
), standing AS MATERIALIZED (
    SELECT s.tip, s.queued FROM thread CROSS JOIN LATERAL threads_standing(thread.id) s
), wanted AS MATERIALIZED (
    SELECT %(turn)s::uuid AS id, thread.id AS thread_id, number, key_id, standing.tip AS parent_id
    FROM thread, standing
    WHERE NOT (%(only_idle)s AND (active_turn_id IS NOT NULL OR standing.queued > 0))
        AND NOT EXISTS (SELECT 1 FROM threads_turn t WHERE t.thread_id = thread.id AND t.request_id = %(request)s)
), runner AS MATERIALIZED (
    SELECT r.name FROM thread, standing, threads_runner r
    WHERE thread.active_turn_id IS NULL AND standing.queued = 0 AND r.takes AND r.seen_at > now() - interval '{RUNNER_SEEN}'
    ORDER BY random() LIMIT 1
), {ADMIT_GATES}, turn AS (
    INSERT INTO threads_turn (id, thread_id, key_id, number, parent_id, on_path, request_id, request_digest, model, options, price,
        status, epoch, attempts, runner, ring, lease_until, first_seq, started_at,
        error_kind, error_message, usage, cost_micros, created_at, changed_at)
    SELECT wanted.id, thread_id, wanted.key_id, number, parent_id, true, %(request)s, %(digest)s, %(model)s, %(options)s, %(price)s,
        start.status, start.claims, start.claims, start.runner, start.ring, start.lease_until, start.first_seq, start.started_at,
        '', '', '{{}}', 0, now(), now()
    FROM wanted, (
        SELECT 'running', 1, name, %(ring)s::smallint, now() + interval '{GIVEN_SECONDS} seconds', thread.last_seq + 1, now()
        FROM runner, thread
        UNION ALL SELECT 'queued', 0, '', NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT 1 FROM runner)
    ) AS start(status, claims, runner, ring, lease_until, first_seq, started_at), bill WHERE bill.micros IS NOT NULL
    ON CONFLICT (thread_id, request_id) DO NOTHING
    RETURNING id, thread_id, number, runner, first_seq
), granted AS (SELECT bill.* FROM bill, turn), {ADMIT_HOLD}, messages AS (
    INSERT INTO threads_message (id, thread_id, turn_id, seq, on_path, role, content, status, model, stop_reason, cost_micros, created_at)
    SELECT m.id, turn.thread_id, turn.id, turn.first_seq + m.place, true, m.role, m.content, m.status, m.model, '', 0, now()
    FROM turn, (VALUES
        (%(question)s::uuid, 0, 'user', %(content)s::jsonb, 'complete', ''),
        (%(answer)s::uuid, 1, 'assistant', '[]'::jsonb, 'streaming', %(model)s)
    ) AS m(id, place, role, content, status, model)
), touched AS (
    UPDATE threads_thread th SET
        turn_count = turn.number, model = %(model)s, last_active_at = now(), changed_at = now(), archived_at = NULL,
        active_turn_id = CASE WHEN turn.runner = '' THEN th.active_turn_id ELSE turn.id END,
        last_seq = coalesce(turn.first_seq + 1, th.last_seq),
        title = CASE WHEN title = '' AND title_source = 'words' THEN %(title)s ELSE title END
    FROM turn WHERE th.id = turn.thread_id
)
SELECT (SELECT number FROM thread), (SELECT runner FROM turn), (SELECT active_turn_id FROM thread), (SELECT queued FROM standing)"""
_admitting = Statement(f"{ADMIT}, {GRANT}")
_admitting_known = Statement(ADMIT.replace(MINE, f"{MINE} AND {STILL_SIGNED_IN}"))


class Outcome(NamedTuple):
    """What ADMIT answered."""

    number: int | None  # of the turn; None: no such thread
    runner: str | None  # the process that the turn was given to, empty where it is queued; None: nothing was stored
    busy_with: UUID | None  # the turn that runs
    queued: int

    @property
    def stored(self) -> bool:
        return self.runner is not None

    @property
    def position(self) -> int:
        """Turns of the thread that come before it."""
        return self.queued + (self.busy_with is not None)


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
    on_busy: OnBusy = "queue",
    instead_of: UUID | None = None,
) -> Admission:
    """Store a question and queue its turn, once per (thread, request_id). Raises Refused.

    One statement: the thread's row lock orders the sends and hands out their numbers (two when the thread is new), and the most
    that the answer can cost is held, or the send refused with 402. `key` limits a standard key to its own threads. `instead_of`
    makes the turn a sibling of that one: the path goes through the new turn.
    """
    values = _values(user, thread_id, content, model, request_id, key, clean(options or {}), on_busy)
    if load.queue_is_full():
        raise Refused(503, "overloaded_error", "Too many answers are being written right now. Try again in a moment.", load.RETRY_AFTER)
    outcome, grant = _stored(user, values, create, instead_of)
    if grant.asked and grant.unopened:
        open_missing(user, grant.key_id)
        outcome, grant = _stored(user, values, create, instead_of)
    if outcome.number is None:
        raise missing()
    if not outcome.stored:
        return _replay(thread_id, outcome, grant, values)
    if on_busy == "interrupt" and (outcome.busy_with is not None or outcome.queued):
        stopping.stop_first(user, thread_id, before=outcome.number)
    _announce(outcome, thread_id, values["turn"])
    created = create and outcome.number == 1
    return Admission(values["turn"], thread_id, replayed=False, thread_created=created, position=outcome.position)


async def admit_known(
    link: Link,
    known: Known,
    thread_id: UUID,
    *,
    content: str,
    model: str,
    request_id: str,
    options: dict[str, Any],
) -> bool:
    """`admit_turn` on the event loop, by the same statement, for a send that needs nothing else; False where it was not stored.

    The statement itself makes sure that `known` is still signed in, so that no session has to be read before. Whoever gets False asks
    `admit_turn`, which says why. Raises Refused too.
    """
    values = _values(known.person, thread_id, content, model, request_id, None, options) | known.parameters
    if await load.queue_is_full_for(link):
        return False
    (row,) = await link.rows(_admitting_known, values)
    outcome = Outcome(*row)
    if outcome.stored:
        _announce(outcome, thread_id, values["turn"])
    return outcome.stored


def _announce(outcome: Outcome, thread_id: UUID, turn_id: UUID) -> None:
    if outcome.runner:
        hints.announce("replies", "given", f"{outcome.runner}/{turn_id}")
        hints.announce("live", "turns", f"{thread_id}/{turn_id}")
        return
    hints.announce("replies", "work")
    if outcome.position:  # else the next thing to see is that it runs, and whoever claims it says so
        hints.announce("live", "threads", thread_id)


def _stored(user: User, values: dict[str, Any], create: bool, instead_of: UUID | None) -> tuple[Outcome, Grant]:
    """What the statement said; when it stored nothing, nothing of the send is there. Raises Refused."""
    if not create and instead_of is None:
        return _admit(values)
    with transaction.atomic(), connection.cursor() as cursor:
        if create:
            _create_if_missing(user, values["thread"])
        if instead_of is not None:
            branches.leave(cursor, user, values["thread"], instead_of, values["request"])
        outcome, grant = _admit(values)
        if not outcome.stored:
            transaction.set_rollback(True)
    return outcome, grant


def _admit(values: dict[str, Any]) -> tuple[Outcome, Grant]:
    number, runner, busy_with, queued, *grant = _admitting.row(values)
    return Outcome(number, runner, busy_with, queued), Grant(*grant)


def _values(
    user: User,
    thread_id: UUID,
    content: str | list[Block],
    model: str,
    request_id: str,
    key: ApiKey | None,
    options: dict[str, Any],
    on_busy: OnBusy = "queue",
) -> dict[str, Any]:
    """Parameters of ADMIT, checked. Raises Refused."""
    info = _known_model(model)
    blocks = _question(content)
    if not 1 <= len(request_id) <= 255 or not request_id.isprintable():
        raise Refused(400, "invalid_request_error", "A request id has 1 to 255 printable characters.")
    system = history.system_prompt(user.custom_instructions, options.get("system"))
    return {
        "thread": thread_id,
        "user": user.pk,
        "key": key.pk if key else None,
        "only_key": key.pk if key and key.scope != "admin" else None,
        "only_idle": on_busy == "reject",
        "turn": uuid7(),
        "ring": current_ring(),
        "question": uuid7(),
        "answer": uuid7(),
        "request": request_id,
        "digest": hashlib.sha256(msgspec.json.encode([blocks, info.slug, options], order="deterministic")).digest(),
        "model": info.slug,
        "title": first_words(text_of(blocks)),
        "content": msgspec.json.encode(blocks).decode(),
        "options": msgspec.json.encode(options).decode(),
        "price": msgspec.json.encode(info.price).decode(),
        **admit_values(
            info.slug, info.price, blocks, system, options, info.context_window, most_output(info, options), tools_bytes(info, options)
        ),
    }


def _create_if_missing(user: User, thread_id: UUID) -> None:
    key = user.api_keys.filter(personal=True, revoked_at=None).values_list("pk", flat=True).first()
    Thread.objects.bulk_create([Thread(id=thread_id, user=user, key_id=key)], ignore_conflicts=True)


def _replay(thread_id: UUID, outcome: Outcome, grant: Grant, values: dict[str, Any]) -> Admission:
    """The turn that this request id has. Raises Refused when it has none: then that is why nothing was stored."""
    turn = Turn.objects.filter(thread_id=thread_id, request_id=values["request"]).first()
    if turn is None and not grant.asked:
        raise Refused(409, "conflict_error", "Another message of this conversation is being answered.")
    if turn is None:
        raise unpaid(grant.shortfall())
    if bytes(turn.request_digest) != values["digest"]:
        raise Refused(422, "idempotency_error", "This request id was already used for another message. Send it again as a new one.")
    return Admission(turn.id, thread_id, replayed=True, position=queue_position(turn))


def queue_position(turn: Turn) -> int:
    """How many turns of its thread come before a queued turn; 0 when it is running, next or over."""
    if turn.status != Turn.Status.QUEUED:
        return 0
    ahead = Q(status=Turn.Status.QUEUED, number__lt=turn.number) | Q(status__in=[Turn.Status.RUNNING, Turn.Status.WAITING])
    return Turn.objects.filter(ahead, thread_id=turn.thread_id).count()


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


def first_words(text: str) -> str:
    """A provisional title: the beginning of the first message, cut at a word."""
    line = " ".join(text.split())
    if len(line) <= TITLE_WORDS:
        return line
    return line[:TITLE_WORDS].rsplit(" ", 1)[0] + "…"
