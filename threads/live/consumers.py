"""The websocket door: who may watch what. It authorizes, subscribes and relays; all it ever writes is what was read."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec
import psycopg
from autobahn.exception import Disconnected
from channels.db import database_sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.http.cookie import parse_cookie

from accounts.models import User
from accounts.signed_in import SessionStore, who
from threads.live.tailer import CLOSE_AGAIN, CLOSE_GONE, CLOSE_SIGNED_OUT, SLACK, tailer
from threads.live.watcher import Watcher
from threads.models import Thread

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

CLOSE_NONSENSE = 4400
LONGEST_FRAME = 1024  # characters; a page only says what it has


class Ack(msgspec.Struct, forbid_unknown_fields=True):
    ack: int  # number of the frame that is on the page
    read: int = 0  # sequence number of the newest message on screen, when somebody looks


decode = msgspec.json.Decoder(Ack).decode


async def live(scope: Scope, receive: Receive, send: Send) -> None:
    """`/ws/` and `/ws/c/<thread id>/`: frames for one page until it goes away."""
    await receive()  # websocket.connect
    if not _same_origin(scope):
        await send({"type": "websocket.close"})  # before the handshake is done: 403
        return
    await send({"type": "websocket.accept"})
    thread_id: UUID | None = scope["url_route"]["kwargs"].get("thread_id")
    who = await database_sync_to_async(_authorize)(scope, thread_id)
    if isinstance(who, int):
        await send({"type": "websocket.close", "code": who})
        return
    user_id, password, session_key = who

    async def relay(frame: str) -> None:
        with contextlib.suppress(Disconnected):  # the page has just gone; its disconnect message is on the way
            await send({"type": "websocket.send", "text": frame})

    async def close(code: int) -> None:
        tailer().remove(watcher)
        with contextlib.suppress(Disconnected):
            await send({"type": "websocket.close", "code": code})

    watcher = Watcher(user_id, thread_id, session_key, password, relay, close)
    try:
        await tailer().add(watcher, _since(scope))
        await _acknowledge(watcher, receive, close)
    except (psycopg.OperationalError, psycopg.InterfaceError):
        await close(CLOSE_AGAIN)
    finally:
        tailer().remove(watcher)


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Any other address: 403 in the handshake, instead of a fault in the log."""
    await receive()
    await send({"type": "websocket.close"})


async def _acknowledge(watcher: Watcher, receive: Receive, close: Callable[[int], Awaitable[None]]) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        try:
            text = message.get("text") or ""
            said = decode(text[:LONGEST_FRAME])
        except msgspec.DecodeError:
            await close(CLOSE_NONSENSE)
            return
        watcher.acknowledge(said.ack)
        if 0 < said.read < 2**31:
            tailer().mark_read(watcher, said.read)
        if watcher.stale:
            await watcher.flush()


def _same_origin(scope: Scope) -> bool:
    """The page's own host and port, or one the operator named."""
    headers = dict(scope["headers"])
    origin, host = headers.get(b"origin", b"").decode("latin1"), headers.get(b"host", b"").decode("latin1")
    return bool(host) and (urlsplit(origin).netloc == host or origin in settings.WEBSOCKET_ORIGINS)


def _authorize(scope: Scope, thread_id: UUID | None) -> tuple[UUID, str, str] | int:
    """(user id, password hash, session key), or the code to close with. Runs in a thread."""
    cookies = parse_cookie(dict(scope["headers"]).get(b"cookie", b"").decode("latin1"))
    request = HttpRequest()
    request.session = SessionStore(cookies.get(settings.SESSION_COOKIE_NAME))
    user = who(request)
    if not isinstance(user, User) or not request.session.session_key:
        return CLOSE_SIGNED_OUT
    if thread_id is not None and not Thread.objects.for_user(user).filter(pk=thread_id).exists():
        return CLOSE_GONE
    return user.pk, user.password, request.session.session_key


def _since(scope: Scope) -> datetime:
    """When the page was drawn (now, if it does not say), a little earlier to be sure. What is read from there on is bounded."""
    given = parse_qs(scope.get("query_string", b"").decode("latin1")).get("since", [""])[0]
    seconds = int(given) / 1000 if given.isascii() and given.isdigit() and len(given) < 16 else time.time()
    return datetime.fromtimestamp(max(min(seconds, time.time()), 86400), UTC) - SLACK
