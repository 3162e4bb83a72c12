"""A call of a tool as the page shows it: one line that says what is done, which opens to arguments and result, and what the person
is asked about it.

One call is one element with an id of its own, so that a frame can replace it whenever something changed:
`partial(f"#{dom_id(…)}", "outerMorph", draw(call))`. Everything here comes from a model or from outside. None of it becomes markup,
the address of an image, or a link.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlsplit
from uuid import UUID

import msgspec
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from threads import edits
from threads.blocks import Block
from threads.live import phrases
from threads.live.fields import fields_of

MOST_SHOWN = 6000  # characters of arguments or of a result; the rest is on a page of its own
CONNECT = ("/connect/", "/settings/connections/")  # where a person gives a tool its account
EXECUTE = "qlaud_multi_execute"
FILE = "file_"  # what ids of stored files begin with on the wire


class State(StrEnum):
    ASKED = "asked"  # by the model; it has not begun
    WAITING = "waiting"  # for the person
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DENIED = "denied"
    ENDED = "ended"  # the turn did, before it


@dataclass(frozen=True, slots=True)
class Ask:
    """What waits for the person. The token is for this question and these arguments, and works once."""

    id: UUID
    token: str
    expires_at: datetime
    kind: Literal["approval", "form"] = "approval"
    name: str = ""  # of the tool that wants to run, or of the server that asks
    arguments: Any = None  # exactly what it would run with
    message: str = ""  # form: what it says
    schema: Mapping[str, Any] = field(default_factory=dict)  # form: a flat object of primitive properties
    changed: bool = False  # the tool describes itself otherwise than when it was allowed


@dataclass(frozen=True, slots=True)
class Call:
    """One call, from whatever is known of it."""

    turn_id: UUID
    tool_use_id: str
    name: str  # the slash form
    arguments: Any
    state: State
    output: Any = None
    seconds: float | None = None
    pictures: Sequence[Block] = ()  # image and document blocks whose source is a stored file
    asks: Sequence[Ask] = ()  # about the call itself, or about the calls that it makes
    connect_url: str = ""  # the tool's account is missing or its access has ended, and this page mends it


class Row(Protocol):
    """What a card takes from a ToolCall."""

    status: str
    started_at: datetime | None
    finished_at: datetime | None
    error_kind: str


def of_block(
    turn_id: UUID, block: Block, result: Block | None = None, row: Row | None = None, asks: Sequence[Ask] = (), over: bool = False
) -> Call:
    """The call of a `tool_use` block, with its `tool_result` block, its row, and what is open about it; `over`: its turn is."""
    content = result.get("content") if result else None
    return Call(
        turn_id=turn_id,
        tool_use_id=block["id"],
        name=block["name"],
        arguments=block.get("invalid_input", block.get("input")),
        state=_state(result, row, asks, over),
        output=output_of(content),
        seconds=(row.finished_at - row.started_at).total_seconds() if row and row.started_at and row.finished_at else None,
        pictures=[one for one in content if one.get("type") in ("image", "document")] if isinstance(content, list) else (),
        asks=asks,
        connect_url=connections_page(block["name"]) if row and row.error_kind == "not_connected" else "",
    )


def connections_page(name: str) -> str:
    """Where the account that a tool is missing can be given to it."""
    return f"{CONNECT[1]}?tool={quote(name, safe='')}"


def _state(result: Block | None, row: Row | None, asks: Sequence[Ask], over: bool) -> State:
    if result is not None:
        if row is not None and row.error_kind == "denied":
            return State.DENIED
        return State.FAILED if result.get("is_error") else State.DONE
    if over:
        return State.ENDED
    if asks:
        return State.WAITING
    return State.RUNNING if row is not None and row.started_at is not None else State.ASKED


def output_of(content: Any) -> Any:
    """What a `tool_result` holds, as the tool gave it: JSON where it is JSON, else text."""
    if isinstance(content, list):
        content = "\n\n".join(str(block.get("text", "")) for block in content if block.get("type") == "text")
    if isinstance(content, str) and content[:1] in ("{", "["):
        try:
            return msgspec.json.decode(content)
        except msgspec.DecodeError:
            return content
    return content


def dom_id(turn_id: UUID, tool_use_id: str) -> str:
    """Providers make up the ids of calls; in a selector they could say anything."""
    return f"call-{hashlib.sha256(f'{turn_id}/{tool_use_id}'.encode()).hexdigest()[:20]}"


def draw(call: Call) -> SafeString:
    return render_to_string("threads/_tool_call.html", {"call": shown(call)})


# --- what the template needs ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was called: the call itself, or each of those it stands for."""

    label: str
    name: str
    arguments: str
    result: str
    failed: bool
    cut: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """A stored file: `file_id` is checked to be one of ours and is never an address from outside."""

    file_id: UUID
    name: str
    drawn: bool  # an image; else a link to download it


@dataclass(frozen=True, slots=True)
class Shown:
    id: str
    turn_id: UUID
    tool_use_id: str
    state: State
    said: str  # for screen readers
    label: str
    doing: str
    took: float | None  # seconds
    parts: list[Part]
    edited: list[str]  # what ran instead of the arguments that the model gave
    pictures: list[Picture]
    asks: list[dict[str, Any]]
    connect: str  # a path on this server
    cut: bool


SAID = {
    State.ASKED: "about to run",
    State.WAITING: "waits for you",
    State.RUNNING: "running",
    State.DONE: "done",
    State.FAILED: "did not work",
    State.DENIED: "not allowed",
    State.ENDED: "not finished",
}


def shown(call: Call) -> Shown:
    changed: list[str] = []
    if call.name == EXECUTE and isinstance(call.output, str):  # its own words; what other tools say is not looked into
        changed, below = edits.apart(call.output)
        call = replace(call, output=output_of(below))
    parts = _parts(call)
    inner = phrases.inner_calls(call.arguments) if call.name == EXECUTE else []
    # Where one call is wrapped in another that says nothing, the line is about the inner one.
    name, arguments = inner[0] if len(inner) == 1 else (call.name, call.arguments)
    return Shown(
        id=dom_id(call.turn_id, call.tool_use_id),
        turn_id=call.turn_id,
        tool_use_id=call.tool_use_id,
        state=call.state,
        said=SAID[call.state],
        label=phrases.label_of(name),
        doing=phrases.doing(name, arguments),
        took=call.seconds,
        parts=parts,
        edited=[pretty(output_of(one))[:MOST_SHOWN] for one in changed],
        pictures=[picture for block in call.pictures if (picture := _picture(block))],
        asks=[asked(ask) for ask in call.asks],
        connect=_connect(call),
        cut=any(part.cut for part in parts),
    )


def _parts(call: Call) -> list[Part]:
    inner = phrases.inner_calls(call.arguments) if call.name == EXECUTE else []
    if not inner:
        return [_part(call.name, call.arguments, call.output, call.state in (State.FAILED, State.DENIED))]
    came = _results(call)
    came += [{}] * (len(inner) - len(came))
    parts = [_part(name, args, one.get("output"), bool(one.get("is_error"))) for (name, args), one in zip(inner, came, strict=False)]
    if call.output is not None and not (isinstance(call.output, Mapping) and "results" in call.output):  # it failed as a whole
        parts.append(_part(call.name, None, call.output, True))
    return parts


def _results(call: Call) -> list[Mapping[str, Any]]:
    """Of the calls inside a qlaud_multi_execute, as far as they are there."""
    results = call.output.get("results") if isinstance(call.output, Mapping) else None
    return [one if isinstance(one, Mapping) else {} for one in results] if isinstance(results, list) else []


def _part(name: str, arguments: Any, output: Any, failed: bool) -> Part:
    sent, came = pretty(arguments), pretty(output)
    cut = len(sent) > MOST_SHOWN or len(came) > MOST_SHOWN
    return Part(phrases.label_of(name), name, sent[:MOST_SHOWN], came[:MOST_SHOWN], failed, cut)


def pretty(value: Any) -> str:
    """JSON on several lines, or the text itself; nothing for nothing."""
    if value is None or value == {}:
        return ""
    return value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def asked(ask: Ask) -> dict[str, Any]:
    """What templates/threads/_approval.html is drawn from."""
    return {"ask": ask, "label": phrases.label_of(ask.name), "arguments": pretty(ask.arguments), "fields": fields_of(ask.schema)}


def _picture(block: Block) -> Picture | None:
    source = block.get("source") or {}
    given = str(source.get("file_id", ""))
    if source.get("type") != "file" or not given.startswith(FILE):
        return None
    try:
        file_id = UUID(hex=given.removeprefix(FILE))
    except ValueError:
        return None
    return Picture(file_id, str(block.get("title") or "File")[:200], block.get("type") == "image")


def _connect(call: Call) -> str:
    """The path of the connect page. Only our own tool names it: any other could send people to a page that it made up."""
    url = call.connect_url
    inner = phrases.inner_calls(call.arguments) if call.name == EXECUTE else []
    for (name, _), one in zip(inner, _results(call), strict=False):
        # Whoever fakes this sentence leads people to our own page, which connects nothing but what is known there.
        if one.get("is_error") and "qlaud_manage_connections" in str(one.get("output")):
            url = url or connections_page(name)
    if call.name == "qlaud_manage_connections" and isinstance(call.output, Mapping):
        url = url or str(call.output.get("connect_url") or "")
    parts = urlsplit(url)
    if not parts.path.startswith(CONNECT):
        return ""
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
