"""Credentials of holders at rest: kept sealed, revealed for one call, forgotten when they are of no use. Nothing here uses the network."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import TextField, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from accounts.models import ApiKey
from tools.connected import Connection, ConnectLink, McpServer, put_secret, secret
from tools.holders import ERASED, holders_of_end_user
from tools.oauth import Tokens

EARLIEST, LATEST = 0.70, 0.85  # of a token's life, between which it is renewed: not all at once, and well before it ends
TOUCH_EVERY = timedelta(minutes=1)  # how exact `last_used_at` is

_random = SystemRandom()


class Kept(msgspec.Struct, omit_defaults=True):
    """What is sealed: what somebody entered, or the tokens of a sign-in and when the access token ends (Unix seconds)."""

    config: dict[str, Any] = msgspec.field(default_factory=dict)
    tokens: Tokens | None = None
    expires_at: float | None = None

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= time.time()


def of_holder(user_id: UUID, holder: str, service: str) -> Connection | None:
    return Connection.objects.filter(user_id=user_id, holder=holder, service=service).select_related("server").first()


def keep(user_id: UUID, holder: str, service: str, server: McpServer | None, config: dict[str, Any]) -> Connection:
    """What somebody entered, in the place of what was there."""
    return _put(user_id, holder, service, server, Connection.Kind.CONFIG, Kept(config=config), None)


def keep_tokens(user_id: UUID, holder: str, service: str, server: McpServer | None, tokens: Tokens) -> Connection:
    """What a sign-in brought, in the place of what was there."""
    kept, due = _timed(tokens)
    return _put(user_id, holder, service, server, Connection.Kind.OAUTH, kept, due)


def renew(connection: Connection, tokens: Tokens) -> None:
    """New tokens of the same sign-in; nothing when it was disconnected meanwhile."""
    kept, due = _timed(tokens)
    put_secret(connection, "sealed", msgspec.json.encode(kept).decode())
    connection.refresh_at = due
    Connection.objects.filter(pk=connection.pk).update(sealed=connection.sealed, refresh_at=due, updated_at=timezone.now())


def reveal(connection: Connection) -> Kept:
    """Raises chatai.lib.crypto.UnsealError."""
    return msgspec.json.decode(secret(connection), type=Kept)


def spoil(connection: Connection, problem: str) -> None:
    """The service does not take it any more: it is used by nobody until somebody connects again."""
    connection.status = Connection.Status.BROKEN
    fields = {"status": connection.status, "problem": problem[:500], "refresh_at": None, "updated_at": timezone.now()}
    Connection.objects.filter(pk=connection.pk).update(**fields)


def touch(connection: Connection) -> None:
    now = timezone.now()
    if connection.last_used_at is None or now - connection.last_used_at > TOUCH_EVERY:
        Connection.objects.filter(pk=connection.pk).update(last_used_at=now)


def erase_end_user(key: ApiKey, end_user_id: str) -> None:
    """Of use to nobody from now on; the worker gives back what they signed in with (see tools/keeping.py)."""
    theirs = {"user_id": key.user_id, "holder__in": holders_of_end_user(key, end_user_id)}
    nobody = Concat(Value(ERASED), Cast("id", TextField()))
    Connection.objects.filter(**theirs).update(holder=nobody, status=Connection.Status.BROKEN, refresh_at=None)
    ConnectLink.objects.filter(**theirs).delete()


def claim_refresh(connection: Connection, seconds: float) -> bool:
    """Whether this process renews the token now; the others leave it alone for so long. A service takes a refresh token only once."""
    due = Connection.objects.filter(pk=connection.pk, refresh_at=connection.refresh_at, status=Connection.Status.CONNECTED)
    return bool(due.update(refresh_at=timezone.now() + timedelta(seconds=seconds)))


def _put(
    user_id: UUID, holder: str, service: str, server: McpServer | None, kind: Connection.Kind, kept: Kept, due: datetime | None
) -> Connection:
    with transaction.atomic():
        fields = {"user_id": user_id, "holder": holder, "service": service}
        found = Connection.objects.select_for_update().filter(**fields).first()
        connection = found or Connection(**fields, server=server)
        connection.kind, connection.status, connection.problem, connection.refresh_at = kind, Connection.Status.CONNECTED, "", due
        put_secret(connection, "sealed", msgspec.json.encode(kept).decode())
        connection.save()
    return connection


def _timed(tokens: Tokens) -> tuple[Kept, datetime | None]:
    if not tokens.expires_in or tokens.expires_in <= 0:
        return Kept(tokens=tokens), None
    due = None
    if tokens.refresh_token:
        due = timezone.now() + timedelta(seconds=tokens.expires_in * _random.uniform(EARLIEST, LATEST))
    return Kept(tokens=tokens, expires_at=time.time() + tokens.expires_in), due
