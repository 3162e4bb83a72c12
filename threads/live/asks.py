"""What waits for a person, from its row to what a card draws."""

from __future__ import annotations

from threads.approvals import token_of
from threads.live.cards import Ask
from threads.models import Approval


def of_approval(approval: Approval) -> Ask:
    """`approval` with its call. A form is asked for by a tool or by a server in its name, which says so."""
    question = approval.question or {}
    return Ask(
        id=approval.pk,
        token=token_of(approval),
        expires_at=approval.expires_at,
        kind="form" if approval.kind == Approval.Kind.FORM else "approval",
        name=str(question.get("asked_by") or approval.call.name),
        arguments=approval.arguments,
        message=str(question.get("message") or ""),
        schema=question.get("schema") or {},
        changed=bool(question.get("changed")),
    )
