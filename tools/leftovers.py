"""Tokens of connections that ended. Nobody is kept waiting for a service that is slow to take them back: they are set aside in the
transaction that ends the connection, without a name, and what is not given back at once the worker gives back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import msgspec
from django.utils import timezone

from chatai.lib.crypto import UnsealError
from tools import credentials, oauth, tokens
from tools.connected import Connection, Leftover, put_secret, secret
from tools.database import in_thread
from tools.oauth_sites import OAuthError

MOST_AGE = timedelta(hours=1)  # after which a service that cannot be reached is not told any more
MOST_AT_ONCE = 50
PATIENCE = 3.0  # seconds that somebody who disconnects waits


class _Held(msgspec.Struct):
    known: oauth.Known
    tokens: oauth.Tokens


def set_aside(connections: Iterable[Connection]) -> list[Leftover]:
    """What these connections (with their servers) hold of services that take tokens back. The caller deletes them in the same
    transaction."""
    rows = []
    for connection in connections:
        held = _held(connection)
        if held is not None and held.known.site.revocation_endpoint:
            row = Leftover()
            put_secret(row, "sealed", msgspec.json.encode(held).decode())
            rows.append(row)
    return Leftover.objects.bulk_create(rows)


def of_account(user_id: UUID) -> None:
    """Sets aside what all connections of the account hold."""
    set_aside(Connection.objects.filter(user_id=user_id, kind=Connection.Kind.OAUTH).select_related("server").iterator())


def waiting() -> list[Leftover]:
    """Some of those that are to be given back; forgets those that waited too long."""
    Leftover.objects.filter(created_at__lt=timezone.now() - MOST_AGE).delete()
    return list(Leftover.objects.order_by("?")[:MOST_AT_ONCE])


async def give_back_soon(rows: Iterable[Leftover]) -> None:
    """Now, if the services are quick; else the worker does."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*map(give_back, rows)), PATIENCE)


async def give_back(row: Leftover) -> None:
    """Once: whatever the service answers, nothing is kept of it. One that cannot be reached is tried again."""
    try:
        held = msgspec.json.decode(secret(row), type=_Held)
        await oauth.revoke(held.known, held.tokens)
    except OAuthError:
        return
    except UnsealError:  # the key was dropped; they run out by themselves
        pass
    await in_thread(Leftover.objects.filter(pk=row.pk).delete)


def _held(connection: Connection) -> _Held | None:
    try:
        known = tokens.known_of(connection.server) if connection.server else None
        kept = credentials.reveal(connection)
    except UnsealError:
        return None
    return _Held(known, kept.tokens) if known is not None and kept.tokens is not None else None
