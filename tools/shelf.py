"""Everything one caller could use, by name and by id: registered tools, MCP tools and built-ins.

Kept in memory from call to call under the row versions of PostgreSQL, which are asked for each time: a tool that was registered or
revoked a moment ago, by whichever process, is there or gone, and no message between processes can be lost.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db import connection

from tools import mcp, registry
from tools.connected import WIRE_PREFIX
from tools.database import in_thread
from tools.finding import Index
from tools.holders import holder
from tools.models import Connection, RegisteredTool
from tools.registry import Builtin
from tools.values import Caller, Found, JsonSchema, Tool
from tools.webhooks import most_seconds

PREFIX = "qlaud-builtin/"
MOST_KEPT = 200
# (xmin, ctid) of a row is another with every write to it, whoever made it. Of a connection only what changes the tools counts: its
# tokens are renewed all the time.
VERSION = """
SELECT concat_ws('/',
  (SELECT sum(hashtextextended(concat(t.xmin, t.ctid), 0)) FROM tools_registeredtool t
    WHERE t.user_id = %(user)s AND t.revoked_at IS NULL),
  '',
  (SELECT sum(hashtextextended(concat(s.xmin, s.ctid), 0)) FROM tools_mcpserver s WHERE s.user_id = %(user)s OR s.user_id IS NULL),
  '',
  (SELECT sum(hashtextextended(concat(m.xmin, m.ctid), 0)) FROM tools_mcptool m JOIN tools_mcpserver s ON s.id = m.server_id
    LEFT JOIN tools_connection c ON c.id = m.connection_id
    WHERE (s.user_id = %(user)s OR s.user_id IS NULL)
      AND (m.connection_id IS NULL OR (c.user_id = %(user)s AND c.holder = %(holder)s))),
  '',
  (SELECT sum(hashtextextended(concat(c.id, c.status), 0)) FROM tools_connection c WHERE c.user_id = %(user)s AND c.holder = %(holder)s))
"""


class Shelf:
    """What stands where: `tools` by name, `ids` by what a request's `tools` call them, `tenant` what all callers share."""

    def __init__(self, tools: Sequence[tuple[Tool, str]], tenant: Sequence[Tool], found: Sequence[Found]) -> None:
        """`tools` with their ids; of two with one name the first counts."""
        self.tools = {tool.name: tool for tool, _ in reversed(tools)}
        self.ids = {wire_id: tool for tool, wire_id in tools}
        self.tenant = tuple(tenant)
        self._found = found

    def find(self, name: str) -> Tool | None:
        return self.tools.get(name) or self.ids.get(name)

    @cached_property
    def index(self) -> Index:
        return Index(self._found)


_kept: OrderedDict[tuple[UUID, str], Shelf] = OrderedDict()


async def caller_shelf(caller: Caller) -> Shelf:
    return await in_thread(shelf_of, caller)


def shelf_of(caller: Caller) -> Shelf:
    return shelf(caller.user_id, holder(caller.key_id, caller.end_user_id))


def shelf(user_id: UUID, holder: str) -> Shelf:
    """What this holder of the account may use now. One statement when nothing changed. Holders who connected nothing share one."""
    with connection.cursor() as cursor:
        cursor.execute(VERSION, {"user": user_id, "holder": holder})
        key = user_id, f"{cursor.fetchone()[0]}/{len(registry.builtins())}"
    found = _kept.pop(key, None) or _make(user_id, holder)
    _kept[key] = found  # at the end: what was used last goes last
    while len(_kept) > MOST_KEPT:
        _kept.popitem(last=False)
    return found


def _make(user_id: UUID, holder: str) -> Shelf:
    mine = Connection.objects.filter(user_id=user_id, holder=holder, status=Connection.Status.CONNECTED)
    connected = set(mine.values_list("service", flat=True))
    tools: list[tuple[Tool, str]] = []
    tenant: list[Tool] = []
    found = mcp.findable(user_id, holder)
    for row in RegisteredTool.objects.for_user(user_id).order_by("created_at"):
        if tool := registered(row):
            tools.append((tool, row.wire_id))
            found.append(Found(tool.name, tool.description, tool.kind, _connected(row, connected)))
            tenant += [tool] if row.auth_mode == RegisteredTool.AuthMode.TENANT else []
    for tool in mcp.tools_for(user_id, holder):
        tools.append((tool, f"{WIRE_PREFIX}{UUID(tool.source).hex}"))
        found.append(Found(tool.name, tool.description, "mcp"))
    taken = {tool.name for tool, _ in tools}
    for one, tool in builtin_tools(connected):
        tools.append((tool, tool.provider))
        if tool.name not in taken:
            asked = None if one.open else one.service in connected
            found.append(Found(tool.name, tool.description, "builtin", asked))
    return Shelf(tools, [*tenant, *mcp.tenant_tools(user_id)], found)


def _connected(row: RegisteredTool, connected: set[str]) -> bool | None:
    one = registry.builtin(row.provider) if row.auth_mode == RegisteredTool.AuthMode.PER_USER else None
    return one.service in connected if one else None


def registered(row: RegisteredTool) -> Tool | None:
    """None for a built-in that the product no longer has. Rows never change, so their id is the version."""
    if row.kind == RegisteredTool.Kind.WEBHOOK:
        seconds = most_seconds(row.timeout_ms)
        return Tool(row.name, row.description, row.input_schema, "webhook", seconds=seconds, version=row.pk.hex, source=row.wire_id)
    one = registry.builtin(row.provider)
    return _of_builtin(one, row.name, row.description, row.input_schema, row.pk.hex, row.wire_id) if one else None


def builtin_tools(connected: set[str]) -> Iterator[tuple[Builtin, Tool]]:
    """Those that work without being registered: by themselves, or with an account that the caller connects."""
    for one in registry.builtins():
        if one.open or one.auth_mode in ("per_user", "either"):
            price = 0 if one.service in connected else one.price_micros
            yield one, _of_builtin(one, one.slug, one.description, one.input_schema, _version(one), one.slug, price)


def _of_builtin(one: Builtin, name: str, description: str, schema: JsonSchema, version: str, source: str, price_micros: int = 0) -> Tool:
    return Tool(
        name=name,
        description=description,
        input_schema=schema,
        kind="builtin",
        writes=one.writes,
        repeatable=one.repeatable,
        seconds=one.seconds,
        price_micros=price_micros,
        version=version,
        source=source,
        provider=f"{PREFIX}{one.slug}",
    )


def _version(one: Builtin) -> str:
    said: list[Any] = [one.slug, one.description, one.input_schema, one.writes]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
