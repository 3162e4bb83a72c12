"""What a turn waits for: results of tools that the caller runs itself (contract, section 13), and a person's word on a call."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from ninja.errors import HttpError
from pydantic import Field

from accounts.access import key_of
from threads import approvals
from threads.models import Approval, Thread
from threads.refusals import Refused
from threads.wire import millis

router = Router()
TOOLS = ["tools"]


class Result(Schema):
    output: Any = Field(description="Any JSON; a string is passed on as it is.")
    is_error: bool = False


class Accepted(Schema):
    ok: Literal[True]


class Decision(Schema):
    token: str = Field(max_length=200, description="As the event and the list have it: for this question and these arguments, once.")
    decision: Literal["once", "chat", "deny"] | None = Field(None, description="Of an approval.")
    arguments: dict[str, Any] | None = Field(None, description="Of an approval: what to run the call with instead.")
    action: Literal["accept", "decline", "cancel"] | None = Field(None, description="Of a form.")
    content: dict[str, Any] | None = Field(None, description="Of a form that is accepted: what was filled in.")


class ApprovalOut(Schema):
    id: str
    object: Literal["approval"]
    kind: Literal["approval", "form"]
    state: str
    turn_id: str
    tool_use_id: str
    name: str
    arguments: Any
    message: str | None
    schema_: dict[str, Any] | None = Field(serialization_alias="schema")
    token: str | None
    created_at: int
    expires_at: int


class ApprovalList(Schema):
    object: Literal["list"]
    data: list[ApprovalOut]


@router.post(
    "/threads/{uuid:thread_id}/tool-results/{path:tool_use_id}",
    response=Accepted,
    tags=TOOLS,
    summary="The result of a client tool; 404 when nobody waits for it (any more)",
)
def tool_result(request: HttpRequest, thread_id: UUID, tool_use_id: str, payload: Result) -> dict[str, Any]:
    """The turn waits 60 seconds for it. The first result counts."""
    _own(request, thread_id)
    if not approvals.accept_result(key_of(request), thread_id, tool_use_id, payload.output, payload.is_error):
        raise Refused(404, "not_found_error", "Nobody waits for the result of such a call.")
    return {"ok": True}


@router.get("/threads/{uuid:thread_id}/approvals", response=ApprovalList, by_alias=True, tags=TOOLS, summary="What waits for a person")
def list_approvals(request: HttpRequest, thread_id: UUID) -> dict[str, Any]:
    """Calls that may run when somebody allows them, and forms that tools ask for; the oldest first."""
    _own(request, thread_id)
    waiting = Approval.objects.for_key(key_of(request)).pending().filter(call__turn__thread=thread_id)
    return {"object": "list", "data": [_row(one) for one in waiting.select_related("call__parent").order_by("created_at")[:200]]}


@router.post(
    "/threads/{uuid:thread_id}/approvals/{uuid:approval_id}", response=ApprovalOut, by_alias=True, tags=TOOLS, summary="Answer one"
)
def answer(request: HttpRequest, thread_id: UUID, approval_id: UUID, payload: Decision) -> dict[str, Any]:
    """With `decision` for an approval, with `action` for a form. 409: it is no longer open; 403: the token is for something else."""
    key = key_of(request)
    waiting = Approval.objects.for_key(key).filter(call__turn__thread=thread_id)
    approval = get_object_or_404(waiting, pk=approval_id)
    if approval.kind == Approval.Kind.FORM:
        if payload.action is None:
            raise HttpError(400, "action: accept, decline or cancel is wanted for a form.")
        approval = approvals.answer_form(key.user, approval_id, payload.token, payload.action, payload.content, key=key)
    else:
        if payload.decision is None:
            raise HttpError(400, "decision: once, chat or deny is wanted.")
        approval = approvals.decide(key.user, approval_id, payload.token, payload.decision, payload.arguments, key=key)
    return _row(approval)


def _own(request: HttpRequest, thread_id: UUID) -> Thread:
    return get_object_or_404(Thread.objects.for_key(key_of(request)), pk=thread_id)


def _row(approval: Approval) -> dict[str, Any]:
    call = approval.call
    told = approval.question or {}
    return {
        "id": str(approval.pk),
        "object": "approval",
        "kind": approval.kind,
        "state": approval.state,
        "turn_id": str(call.turn_id),
        "tool_use_id": (call.parent or call).tool_use_id,
        "name": told.get("asked_by") or call.name,
        "arguments": approval.arguments,
        "message": told.get("message"),
        "schema_": told.get("schema"),
        "token": approvals.token_of(approval) if approval.state == Approval.State.PENDING else None,
        "created_at": millis(approval.created_at),
        "expires_at": millis(approval.expires_at),
    }
