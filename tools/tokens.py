"""Access tokens that are still good: renewed ahead of time by the worker, and by whoever needs one that nobody renewed."""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec
from django.utils import timezone

from chatai.lib.crypto import UnsealError
from tools import credentials, oauth
from tools.connected import Connection, McpServer, secret
from tools.credentials import Kept
from tools.database import in_thread
from tools.oauth_sites import OAuthError
from tools.values import ToolError

CLAIM_SECONDS = 30.0  # that a process has for one renewal
LOOK_EVERY = 0.25  # seconds, while another process renews it


def reconnect(name: str) -> ToolError:
    """What the model and the person hear when there are no credentials, or none that work."""
    sentence = f"{name} is not connected. Call qlaud_manage_connections with action connect and tool {name}, and give the person the link."
    return ToolError(sentence, "not_connected")


async def revealed(connection: Connection, name: str, *, anew: bool = False) -> Kept:
    """What it holds, with an access token that is good now; `anew`: the server refused the present one. Raises ToolError."""
    kept = await in_thread(_reveal, connection, name)
    if kept.tokens is None or (not anew and not kept.expired and not _due(connection)):
        return kept
    if not kept.tokens.refresh_token:
        if anew or kept.expired:
            await in_thread(credentials.spoil, connection, "The sign-in has run out.")
            raise reconnect(name)
        return kept
    if await in_thread(credentials.claim_refresh, connection, CLAIM_SECONDS):
        return await _renewed(connection, kept, name)
    if not anew and not kept.expired:
        return kept  # somebody is at it, and this one is good for a while
    return await _by_somebody_else(connection.pk, kept, name)


async def renew_due(connection_id: UUID) -> None:
    """Renews it if it is time; silent when the row is gone or the service cannot be reached, which is tried again."""
    connection = await in_thread(_load, connection_id)
    if connection is None or connection.status != Connection.Status.CONNECTED or not _due(connection):
        return
    try:
        await revealed(connection, "It")
    except ToolError:
        return  # what there is to say of it is on the row


async def _renewed(connection: Connection, kept: Kept, name: str) -> Kept:
    assert kept.tokens is not None
    try:
        known = await in_thread(_known, connection)
        tokens = await oauth.refresh(known, kept.tokens.refresh_token)
    except OAuthError as error:
        if error.final:
            await in_thread(credentials.spoil, connection, error.message)
            raise reconnect(name) from None
        if kept.expired:
            raise ToolError(f"{name}: {error.message}", "unavailable") from None
        return kept
    await in_thread(credentials.renew, connection, tokens)
    return credentials.Kept(tokens=tokens)


async def _by_somebody_else(connection_id: UUID, old: Kept, name: str) -> Kept:
    """Another process has the claim. Waits for what it gets."""
    for _ in range(int(oauth.SECONDS / LOOK_EVERY)):
        await asyncio.sleep(LOOK_EVERY)
        connection = await in_thread(_load, connection_id)
        if connection is None or connection.status != Connection.Status.CONNECTED:
            raise reconnect(name)
        kept = await in_thread(_reveal, connection, name)
        if kept.tokens and old.tokens and kept.tokens.access_token != old.tokens.access_token:
            return kept
    raise ToolError(f"The sign-in to {name} could not be renewed. Try again.", "unavailable")


def _due(connection: Connection) -> bool:
    return connection.refresh_at is not None and connection.refresh_at <= timezone.now()


def _load(connection_id: UUID) -> Connection | None:
    return Connection.objects.filter(pk=connection_id).select_related("server").first()


def _reveal(connection: Connection, name: str) -> Kept:
    try:
        return credentials.reveal(connection)
    except UnsealError:  # the key was dropped
        credentials.spoil(connection, "What was stored cannot be read any more.")
        raise reconnect(name) from None


def _known(connection: Connection) -> oauth.Known:
    assert connection.server is not None
    return known_of(connection.server) or _nowhere()


def known_of(server: McpServer) -> oauth.Known | None:
    """Where its users sign in and as whom we are known there; None before anybody has."""
    text = secret(server, "sealed_oauth")
    return msgspec.json.decode(text, type=oauth.Known) if text else None


def _nowhere() -> oauth.Known:
    raise OAuthError("It is not known any more where to sign in.", final=True)
