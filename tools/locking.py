"""Recipients that the model may not choose: whoever sets a tool up can tie it to the person of the conversation.

That person is known from the thread's metadata, which only its maker can set (contract 11.4), so no text that the model
reads can send something elsewhere.
"""

from __future__ import annotations

from typing import Any

from tools.registry import Use
from tools.schemas import flag
from tools.values import Caller, ToolError

LOCK_EMAIL = flag("Send only to end_user.metadata.email of the conversation, whatever the model says.")
LOCK_PHONE = flag("Send only to end_user.metadata.phone of the conversation, whatever the model says.")


def recipient(arguments: dict[str, Any], use: Use, kind: str) -> str:
    """To whom: `kind` of the thread's metadata when the tool is locked, else the argument `to`. Raises ToolError for nobody."""
    if use.config.get("lock_recipient"):
        return str(trusted(f"end_user.metadata.{kind}", use.caller))
    if not arguments.get("to"):
        raise ToolError("to is missing.", "invalid")
    return str(arguments["to"])


def trusted(path: str, caller: Caller) -> Any:
    """`end_user.id` or `end_user.metadata.plan.name`, of the thread. Raises ToolError when it has no such value."""
    names = path.split(".")
    found: Any = {"end_user": {"id": caller.end_user_id, "metadata": caller.metadata}}
    for name in names:
        found = found.get(name) if hasattr(found, "get") else None
    if found is None or found == "" or isinstance(found, dict | list):
        raise ToolError(f"This conversation has no {path}, which the tool is tied to.", "refused")
    return found
