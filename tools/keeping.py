"""What is done for connections when nobody is waiting: tokens renewed ahead of time, lists kept fresh, what is over cleared away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from tools import connect_links, connections, leftovers, mcp, mcp_lists, tokens
from tools.connected import Connection, McpServer
from tools.database import in_thread
from tools.holders import ERASED
from tools.values import ToolError

LIST_AGE = timedelta(hours=6)
MOST_AT_ONCE = 50  # of each, in one run; the next one goes on
TOGETHER = 8  # at the same time
MOST_SECONDS = 45.0  # of one run, which is repeated every minute
OF_REVOKED_KEYS = """
SELECT c.* FROM tools_connection c
JOIN accounts_apikey k ON k.id = CASE WHEN c.holder LIKE 'key:%%' THEN substr(c.holder, 5, 36)::uuid END AND k.user_id = c.user_id
WHERE k.revoked_at IS NOT NULL LIMIT %s
"""


async def renew_tokens() -> None:
    """Those whose time has come, each with a chance of its own (see tools/credentials.py)."""
    await _together(tokens.renew_due(one) for one in await in_thread(_due))


async def refresh_lists() -> None:
    """Lists older than LIST_AGE, of servers and of connections, in no order: one that never answers is in nobody's way."""
    await _together(_refreshed(*one) for one in await in_thread(_stale))


async def give_back() -> None:
    """Ends connections of servers and keys that were revoked, and of end users who were erased; the vendors are told, also of what
    closed accounts left."""
    orphaned, left = await in_thread(_orphaned), await in_thread(leftovers.waiting)
    await _together([*map(connections.disconnect, orphaned), *map(leftovers.give_back, left)])


def forget_links() -> int:
    return connect_links.forget_old()


def follow_settings() -> None:
    """A row for each of the operator's local servers, so that it has tools like every other."""
    wanted = mcp.local_servers()
    mine = McpServer.objects.filter(user=None, revoked_at=None)
    mine.exclude(name__in=wanted).update(revoked_at=timezone.now())
    for name in wanted.keys() - set(mine.values_list("name", flat=True)):
        McpServer.objects.create(name=name, transport=McpServer.Transport.STDIO)


async def _refreshed(server: McpServer, connection: Connection | None) -> None:
    try:
        await mcp_lists.refresh(server, connection)
    except ToolError:
        return  # the reason is on the row


async def _together(work: Iterable[Awaitable[None]]) -> None:
    room = asyncio.Semaphore(TOGETHER)

    async def one_by_one(one: Awaitable[None]) -> None:
        async with room:
            await one

    async with asyncio.timeout(MOST_SECONDS):
        await asyncio.gather(*map(one_by_one, work))


def _due() -> list[UUID]:
    due = Connection.objects.filter(status=Connection.Status.CONNECTED, refresh_at__lte=timezone.now())
    return list(due.order_by("refresh_at").values_list("pk", flat=True)[:MOST_AT_ONCE])


def _stale() -> list[tuple[McpServer, Connection | None]]:
    old = timezone.now() - LIST_AGE
    aged = Q(tools_cache_at=None) | Q(tools_cache_at__lt=old)
    shared = McpServer.objects.filter(aged, revoked_at=None, auth_mode=McpServer.AuthMode.TENANT).order_by("?")[:MOST_AT_ONCE]
    own = Connection.objects.filter(aged, status=Connection.Status.CONNECTED, server__revoked_at=None).exclude(server=None)
    rows = own.select_related("server").order_by("?")[:MOST_AT_ONCE]
    return [*((server, None) for server in shared), *((row.server, row) for row in rows if row.server)]


def _orphaned() -> list[Connection]:
    """Of a revoked server, of an erased end user, or of a revoked key: its holder begins with the key."""
    gone = Q(server__revoked_at__isnull=False) | Q(holder__startswith=ERASED)
    rows = list(Connection.objects.filter(gone).select_related("server")[:MOST_AT_ONCE])
    return [*rows, *Connection.objects.raw(OF_REVOKED_KEYS, [MOST_AT_ONCE])]
