"""What a page is drawn from: rows of a turn as safe HTML, the same for page load, older pages, live frames and admin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q
from django.template.loader import get_template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from threads import markdown
from threads.blocks import Block, text_of
from threads.live import cards
from threads.live.growing import NOTHING, Growing, partial, thinking_html
from threads.models import Compaction, Message, Thread, ToolCall, Turn, TurnEvent
from threads.providers.catalog import model_info
from threads.templatetags.chats import thread_link

if TYPE_CHECKING:
    from datetime import datetime

NO_CALLS: Mapping[str, cards.Row] = {}
CALL_FIELDS = ("status", "started_at", "finished_at", "error_kind")  # what a card takes from the row of its call
Siblings = dict[tuple[UUID, UUID | None], list[UUID]]  # (thread, parent) → its turns

# What the person can do about it, by kind of error.
RETRY, CONTINUE = "retry", "continue"


@dataclass(frozen=True, slots=True)
class Row:
    """One message as a template needs it."""

    id: UUID
    seq: int | None
    role: str
    status: str  # queued | streaming | complete | stopped | failed | interrupted
    html: SafeString  # everything finished
    open_html: SafeString  # the block still open; streaming only
    text: str
    model_label: str
    created_at: datetime
    usage: dict[str, Any]
    cost_micros: int
    seconds: float | None
    rating: int | None


@dataclass(frozen=True, slots=True)
class Marker:
    """The summary that the model is sent instead of everything up to the end of this turn."""

    id: UUID
    html: SafeString


@dataclass(frozen=True, slots=True)
class TurnView:
    """One turn as a template needs it."""

    id: UUID
    dom_id: str
    number: int
    status: str
    over: bool
    error_kind: str
    error_message: str
    error_action: str  # "retry" | "continue" | ""
    model: str
    model_label: str
    open_id: str
    rows: list[Row]
    version: int  # which of its siblings this is, from 1
    versions: int
    previous_id: UUID | None  # the sibling before, for switching
    next_id: UUID | None
    marker: Marker | None


def dom_id(turn: Turn) -> str:
    """The request id made by the page, when it is one, so that a frame replaces what the page drew itself."""
    try:
        return f"t-{UUID(turn.request_id)}"
    except ValueError:
        return f"t-{turn.id}"


def label_of(slug: str) -> str:
    info = model_info(slug)
    return info.label if info else slug


def turn_view(
    turn: Turn,
    messages: Iterable[Message],
    growing: Growing | None = None,
    label: str | None = None,
    siblings: Sequence[UUID] = (),
    summary: Compaction | None = None,
    calls: Mapping[str, cards.Row] = NO_CALLS,
) -> TurnView:
    """`messages` of `turn` in order; `growing` brings what a running turn has so far; `siblings` are itself and its other versions;
    `summary` is the one in force when it ends with this turn; `calls` by their ids bring what the messages do not say of them."""
    label = label_of(turn.model) if label is None else label
    place = siblings.index(turn.id) if turn.id in siblings else 0
    rows = _rows(turn, list(messages), growing, label, calls)
    return TurnView(
        id=turn.id,
        dom_id=dom_id(turn),
        number=turn.number,
        status=turn.status,
        over=turn.over,
        error_kind=turn.error_kind,
        error_message=turn.error_message,
        error_action=_error_action(turn),
        model=turn.model,
        model_label=label,
        open_id=f"open-{turn.id}",
        rows=rows,
        version=place + 1,
        versions=max(len(siblings), 1),
        previous_id=siblings[place - 1] if place > 0 else None,
        next_id=siblings[place + 1] if place + 1 < len(siblings) else None,
        marker=Marker(summary.pk, markdown.render(summary.summary)) if summary else None,
    )


def _error_action(turn: Turn) -> str:
    if turn.status == Turn.Status.INTERRUPTED:
        return CONTINUE
    return RETRY if turn.status == Turn.Status.FAILED else ""


def _rows(turn: Turn, messages: list[Message], growing: Growing | None, label: str, calls: Mapping[str, cards.Row]) -> list[Row]:
    """The question, and everything that was answered to it as one: between two texts of an answer stand the calls it made."""
    questions = [message for message in messages if message.role == Message.Role.USER and not _only_results(message)]
    answers = [message for message in messages if message.role == Message.Role.ASSISTANT]
    rows = [_question_row(turn, message) for message in questions]
    if answers and turn.status != Turn.Status.QUEUED:
        rows.append(_answer_row(turn, messages, answers, growing, label, calls))
    return rows


def _only_results(message: Message) -> bool:
    return bool(message.content) and all(block.get("type") == "tool_result" for block in message.content)


def _question_row(turn: Turn, message: Message) -> Row:
    return Row(
        id=message.id,
        seq=message.seq,
        role=message.role,
        status="queued" if turn.status == Turn.Status.QUEUED else message.status,
        html=question_html(message.content),
        open_html=NOTHING,
        text=text_of(message.content),
        model_label="",
        created_at=message.created_at,
        usage=message.usage or {},
        cost_micros=message.cost_micros,
        seconds=None,
        rating=message.rating,
    )


def _answer_row(
    turn: Turn, messages: list[Message], answers: list[Message], growing: Growing | None, label: str, calls: Mapping[str, cards.Row]
) -> Row:
    last = answers[-1]
    live = growing if not turn.over else None
    if live is not None:
        html, open_html = live.html, live.open_html
    else:
        results = {block["tool_use_id"]: block for row in messages for block in row.content if block.get("type") == "tool_result"}
        html, open_html = markdown.join(_answer_html(turn, row.content, results, calls) for row in answers), NOTHING
    seconds = (turn.finished_at - turn.started_at).total_seconds() if turn.finished_at and turn.started_at else None
    return Row(
        id=last.id,
        seq=last.seq,
        role=last.role,
        status=last.status if live is None else "streaming",
        html=html,
        open_html=open_html,
        text="\n\n".join(filter(None, (text_of(row.content) for row in answers))),
        model_label=label,
        created_at=last.created_at,
        usage=_summed(answers),
        cost_micros=sum(row.cost_micros for row in answers),
        seconds=seconds,
        rating=last.rating,
    )


def _summed(answers: list[Message]) -> dict[str, Any]:
    usage: dict[str, Any] = {}
    for row in answers:
        for name, value in (row.usage or {}).items():
            usage[name] = 1 if name == "estimated" else usage.get(name, 0) + value
    return usage


def question_html(blocks: list[Block]) -> SafeString:
    return markdown.join(markdown.render_plain(block["text"]) for block in blocks if block.get("type") == "text")


def _answer_html(turn: Turn, blocks: list[Block], results: Mapping[str, Block], calls: Mapping[str, cards.Row]) -> SafeString:
    """All blocks of one message of a turn that nothing is written to now."""
    return markdown.join(_block_html(turn, block, results, calls) for block in blocks)


def _block_html(turn: Turn, block: Block, results: Mapping[str, Block], calls: Mapping[str, cards.Row]) -> SafeString:
    match block.get("type"):
        case "text":
            return markdown.render(block["text"])
        case "thinking" if block.get("thinking"):
            return thinking_html(block["thinking"])
        case "tool_use":
            row = calls.get(block["id"])
            return cards.draw(cards.of_block(turn.id, block, results.get(block["id"]), row, over=turn.over))
    return NOTHING


def turn_views(turns: Iterable[Turn], summary: Compaction | None = None, siblings: Siblings | None = None) -> list[TurnView]:
    """Views of `turns` of one thread (already fetched for their owner) with the summary in force there; one query for messages, one
    for journals of running ones, one for other versions unless they are given."""
    turns = list(turns)
    messages: dict[UUID, list[Message]] = defaultdict(list)
    for message in Message.objects.filter(turn__in=turns).order_by("seq", "role"):
        messages[message.turn_id].append(message)
    running = {turn.id: Growing(turn.id, turn.ring) for turn in turns if turn.live and turn.ring is not None}
    if running:
        payloads: dict[UUID, list[str]] = defaultdict(list)
        rings = {growing.ring for growing in running.values()}
        for event in TurnEvent.objects.filter(ring__in=rings, turn__in=running).order_by("turn_id", "index"):
            payloads[event.turn_id].append(event.payload)
        for turn_id, growing in running.items():
            growing.feed(payloads[turn_id])
    siblings = siblings_of(turns) if siblings is None else siblings
    calls = _calls_of([turn for turn in turns if turn.iterations > 1])
    views = []
    for turn in turns:
        rows = _question_first(messages[turn.id])
        ends_here = summary is not None and any(message.seq == summary.through_seq for message in rows)
        versions = siblings[turn.thread_id, turn.parent_id]
        ending = summary if ends_here else None
        views.append(turn_view(turn, rows, running.get(turn.id), siblings=versions, summary=ending, calls=calls.get(turn.id, NO_CALLS)))
    return views


def _calls_of(turns: Sequence[Turn]) -> dict[UUID, dict[str, cards.Row]]:
    """By turn and id; asks the database only when there are such turns."""
    found: dict[UUID, dict[str, cards.Row]] = defaultdict(dict)
    if turns:
        for call in ToolCall.objects.filter(turn__in=turns, parent=None).only("turn_id", "tool_use_id", *CALL_FIELDS):
            found[call.turn_id][call.tool_use_id] = call
    return found


def siblings_of(turns: Sequence[Turn]) -> Siblings:
    """Ids of started turns by thread and parent, in the order they were asked."""
    threads = {turn.thread_id for turn in turns}
    parents = {turn.parent_id for turn in turns} - {None}
    related = Q(parent__in=parents) | Q(parent=None) if any(turn.parent_id is None for turn in turns) else Q(parent__in=parents)
    found: Siblings = defaultdict(list)
    started = Turn.objects.filter(related, thread__in=threads, first_seq__isnull=False, deleted_at=None).order_by("number")
    for turn_id, thread_id, parent_id in started.values_list("pk", "thread_id", "parent_id"):
        found[thread_id, parent_id].append(turn_id)
    return found


def turn_html(view: TurnView | Mapping[str, Any]) -> SafeString:
    """The section of a turn, the same on every page and in every frame. What the engine gives is escaped, but it does not say so."""
    return SafeString(_turn_template().render({"turn": view}))


@cache
def _turn_template() -> Any:
    return get_template("threads/_turn.html", using="jinja2")


def _question_first(messages: list[Message]) -> list[Message]:
    # A queued turn's messages have no sequence numbers yet.
    return sorted(messages, key=lambda message: (message.seq or 0, message.role != Message.Role.USER))


# --- pieces of live frames ------------------------------------------------------------------------------------------------


def section(view: TurnView) -> SafeString:
    """A whole turn, replaced where it is or put where its number belongs."""
    return SafeString(f'<hx-upsert hx-target="#messages" key="data-number" sort>{turn_html(view)}</hx-upsert>')


def withdrawn(turn: Turn) -> SafeString:
    return partial(f"#{dom_id(turn)}", "delete", NOTHING)


def sidebar_shows(thread: Thread, current_id: UUID | None) -> tuple[object, ...]:
    """What `sidebar` is made from: while that is the same, a page need not be sent it again."""
    unread = thread.unread and thread.id != current_id
    return thread.title, thread.running, unread, thread.pinned_at, thread.archived_at, thread.deleted_at, thread.last_active_at


def sidebar(thread: Thread, current_id: UUID | None) -> SafeString:
    """The thread's link at the top of its group, or gone; and the title in the header of its own page."""
    parts = [partial(f"#thread-{thread.id}", "delete", NOTHING)]
    if thread.deleted_at is None and thread.archived_at is None:
        link = thread_link(thread, current_id)
        parts.append(partial("#threads-pinned" if thread.pinned_at else "#threads-today", "afterbegin", link))
    if thread.id == current_id:
        parts.append(partial("#thread-title", "innerHTML", format_html("{}", thread.title or "New chat")))
    return markdown.join(parts)
