"""What a person decides about the calls of tools: allowed once, always in this chat, or not; and the forms that tools ask for.

An open question is a row. Answering it makes the turn that waits for it claimable again, on whatever process is there.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import msgspec
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from chatai.lib import hints
from threads import branches
from threads.blocks import clean
from threads.models import Approval, ToolCall, Turn
from threads.refusals import Refused
from tools.rules import allow_in_chat
from tools.values import Tool

if TYPE_CHECKING:
    from accounts.models import ApiKey, User

LIFETIME = timedelta(hours=24)
FORM_PATIENCE = timedelta(minutes=10)  # the tool keeps its connection open so long
APP_PATIENCE = timedelta(seconds=60)  # for an app's own tool (contract, section 13)
MOST_ARGUMENT_BYTES = 128 * 1024
AT_ONCE = 100

Decision = Literal["once", "chat", "deny"]
Action = Literal["accept", "decline", "cancel"]


def digest_of(name: str, version: str, arguments: Any) -> bytes:
    """What a token is for: this tool, as it is now, with exactly these arguments."""
    return hashlib.sha256(msgspec.json.encode([name, version, arguments], order="deterministic")).digest()


def token_for(approval_id: UUID, digest: bytes) -> str:
    """Made anew whenever it is shown, so that no row and no dump holds one."""
    return salted_hmac("threads.approvals", f"{approval_id}:{digest.hex()}", algorithm="sha256").hexdigest()


def token_of(approval: Approval) -> str:
    return token_for(approval.pk, bytes(approval.arguments_digest))


def open_for(user: User, approval_id: UUID) -> Approval | None:
    """The question with its call, if it still waits for this person."""
    open_ones = Approval.objects.for_user(user).pending().filter(pk=approval_id, expires_at__gt=timezone.now())
    return open_ones.select_related("call__turn").first()


def decide(
    user: User, approval_id: UUID, token: str, decision: Decision, arguments: dict[str, Any] | None = None, key: ApiKey | None = None
) -> Approval:
    """Allow a call or not; `arguments` instead of those that were asked about. Raises Refused."""
    if arguments is not None and len(msgspec.json.encode(arguments)) > MOST_ARGUMENT_BYTES:
        raise Refused(400, "invalid_request_error", f"arguments: at most {MOST_ARGUMENT_BYTES // 1024} KiB as JSON.")
    with transaction.atomic():
        approval = _open(user, approval_id, token, Approval.Kind.APPROVAL, key)
        state = Approval.State.DENIED if decision == "deny" else Approval.State.ALLOWED
        edited = clean(arguments) if arguments is not None and state == Approval.State.ALLOWED else None
        _close(approval, user, key, state, decision, edited)
        if decision == "chat":
            call = approval.call
            allow_in_chat(user.pk, call.turn.thread_id, Tool(call.name, "", {}, "builtin", version=call.version))
        go_on(approval.call.turn_id)
    return approval


def answer_form(
    user: User, approval_id: UUID, token: str, action: Action, content: dict[str, Any] | None = None, key: ApiKey | None = None
) -> Approval:
    """What was filled in, or that nothing was. The tool that asked waits for it in its process. Raises Refused."""
    with transaction.atomic():
        approval = _open(user, approval_id, token, Approval.Kind.FORM, key)
        _close(approval, user, key, Approval.State.ANSWERED, action, clean(content or {}) if action == "accept" else None)
        turn_id = approval.call.turn_id
        transaction.on_commit(lambda: hints.announce("replies", "answers", turn_id))
    return approval


def expire() -> int:
    """End the questions that nobody has answered in time; how many. Their turns go on without what was asked about."""
    old = Approval.objects.pending().filter(kind=Approval.Kind.APPROVAL, expires_at__lt=timezone.now())
    found = list(old.values_list("pk", "call__turn_id")[:AT_ONCE])
    for approval_id, turn_id in found:
        with transaction.atomic():
            branches.lock_for(turn_id)
            expired = {"state": Approval.State.EXPIRED, "decision": "expired", "decided_at": timezone.now()}
            if Approval.objects.pending().filter(pk=approval_id).update(**expired):
                go_on(turn_id)
    return len(found)


def go_on(turn_id: UUID, **fields: Any) -> bool:
    """Let any process take up a turn that waits; whether it waited. Its thread's row is locked, as by whoever makes it wait."""
    now = timezone.now()
    waiting = Turn.objects.filter(pk=turn_id, status=Turn.Status.WAITING)
    waited = waiting.update(status=Turn.Status.RUNNING, lease_until=now - timedelta(seconds=1), changed_at=now, **fields) == 1
    transaction.on_commit(lambda: hints.announce("replies", "resume" if waited else "answers", turn_id))
    return waited


def _open(user: User, approval_id: UUID, token: str, kind: str, key: ApiKey | None) -> Approval:
    mine = Approval.objects.for_key(key) if key is not None else Approval.objects.for_user(user)
    approval = mine.filter(pk=approval_id, kind=kind).select_related("call__turn").first()
    if approval is None:
        raise Refused(404, "not_found_error", "There is no such question.")
    branches.locked(user, approval.call.turn.thread_id)
    approval.refresh_from_db(fields=["state", "expires_at"])
    if not hmac.compare_digest(token.encode(), token_of(approval).encode()):
        raise Refused(403, "permission_error", "This answer is for something else. Reload the page and look again.")
    if approval.state != Approval.State.PENDING or approval.expires_at <= timezone.now():
        raise Refused(409, "conflict_error", "This question is no longer open.")
    return approval


def _close(approval: Approval, user: User, key: ApiKey | None, state: str, decision: str, edited: Any) -> None:
    approval.state, approval.decision, approval.edited = state, decision, edited
    approval.decided_by, approval.decided_with, approval.decided_at = user, key, timezone.now()
    approval.save(update_fields=["state", "decision", "edited", "decided_by", "decided_with", "decided_at"])


def accept_result(key: ApiKey, thread_id: UUID, tool_use_id: str, output: Any, is_error: bool) -> bool:
    """What an app says came of a call that it runs itself; whether anybody still waits for it. The first word counts."""
    waiting = ToolCall.objects.for_key(key).filter(
        turn__thread=thread_id,
        turn__status=Turn.Status.RUNNING,
        tool_use_id=tool_use_id,
        kind="client",
        status=ToolCall.Status.RUNNING,
        result__isnull=True,  # not `None`, which is the null of JSON
        started_at__gt=timezone.now() - APP_PATIENCE,
    )
    turn_id = waiting.values_list("turn_id", flat=True).first()
    if turn_id is None or not waiting.update(result=clean({"output": output, "is_error": is_error})):
        return False
    transaction.on_commit(lambda: hints.announce("replies", "answers", turn_id))
    return True
