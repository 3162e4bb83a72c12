"""Tools that run on the account's own server: signed requests, tried again when the server was not there."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import time
from dataclasses import replace
from typing import Any

from chatai.lib.http import EgressError, Reply, fetch
from tools.values import Caller, Outcome, Tool, ToolError

HEADER_TIMESTAMP = "X-Qlaud-Timestamp"
HEADER_SIGNATURE = "X-Qlaud-Signature"
TRIES = 4
BACKOFF = (0.5, 1.5, 4.0)  # seconds before the second, third and fourth try, each up to half longer
MOST_BYTES = 1024 * 1024  # of an answer
AGAIN = ("timeout", "network")  # kinds of EgressError after which another try may help


def most_seconds(timeout_ms: int) -> float:
    """How long a call can take with all its tries."""
    return TRIES * timeout_ms / 1000 + sum(BACKOFF) * 1.5 + 1


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Lower-case hex HMAC-SHA256 of timestamp, a dot, and the body byte for byte."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def body_of(tool_id: str, tool: Tool, arguments: dict[str, Any], caller: Caller) -> bytes:
    said = {
        "tool_id": tool_id,
        "tool_use_id": caller.tool_use_id,
        "name": tool.name,
        "input": arguments,
        "request_id": caller.request_id,
        "thread_id": str(caller.thread_id) if caller.thread_id else None,
        "end_user_id": caller.end_user_id,
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


async def call(tool_id: str, url: str, secret: str, timeout_ms: int, tool: Tool, arguments: dict[str, Any], caller: Caller) -> Outcome:
    """One try and up to three more after a 5xx, a timeout or a network error. Raises ToolError with how many there were."""
    body = body_of(tool_id, tool, arguments, caller)
    for attempt in range(1, TRIES + 1):
        try:
            reply = await _send(url, secret, body, timeout_ms / 1000)
            if reply.status < 500:
                return replace(_outcome(tool, reply), attempts=attempt)
            problem = ToolError(f"The server of {tool.name} failed ({reply.status}).", "unavailable", reply.status)
        except EgressError as error:
            if error.kind not in AGAIN:
                raise ToolError(error.message, "refused") from None
            problem = ToolError(error.message, "timeout" if error.kind == "timeout" else "unavailable")
        if attempt < TRIES:
            await asyncio.sleep(BACKOFF[attempt - 1] * random.uniform(1, 1.5))  # noqa: S311 - jitter
    return Outcome(
        f"{problem.message} Tried {TRIES} times.", is_error=True, http_status=problem.http_status, attempts=TRIES, error_kind=problem.kind
    )


async def _send(url: str, secret: str, body: bytes, seconds: float) -> Reply:
    # Signed anew for each try: a receiver may refuse timestamps that are minutes old.
    timestamp = str(int(time.time()))
    headers = {"content-type": "application/json", HEADER_TIMESTAMP: timestamp, HEADER_SIGNATURE: sign(secret, timestamp, body)}
    return await fetch("POST", url, headers=headers, content=body, seconds=seconds, most_bytes=MOST_BYTES)


def _outcome(tool: Tool, reply: Reply) -> Outcome:
    if 300 <= reply.status < 400:
        return _failed(f"The server of {tool.name} redirects ({reply.status}), which is not followed.", reply)
    if reply.status >= 400:
        return _failed(f"The server of {tool.name} refused the call ({reply.status}).", reply)
    try:
        answer = reply.json()
    except ValueError:
        kind = reply.headers.get("content-type", "").partition(";")[0] or "something without a content type"
        return _failed(f"The server of {tool.name} answered {kind} where JSON was expected.", reply)
    if not isinstance(answer, dict) or "output" not in answer:
        return _failed(f"The server of {tool.name} answered without an `output`.", reply)
    wrong = answer.get("is_error") is True
    return Outcome(answer["output"], is_error=wrong, http_status=reply.status, error_kind="refused" if wrong else "")


def _failed(message: str, reply: Reply) -> Outcome:
    return Outcome(message, is_error=True, http_status=reply.status, error_kind="refused")
