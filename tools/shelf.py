"""Everything one caller could use, by name and by id: registered tools, MCP tools and built-ins.

Kept in memory from call to call under the row versions of PostgreSQL, which are asked for each time: a tool that was registered or
revoked a moment ago, by whichever process, is there or gone, and no message between processes can be lost.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from tools import registry
from tools.models import RegisteredTool
from tools.registry import Builtin
from tools.values import JsonSchema, Tool
from tools.webhooks import most_seconds

PREFIX = "qlaud-builtin/"
MOST_KEPT = 200
# (xmin, ctid) of a row is another with every write to it, whoever made it.
VERSION = """
SELECT concat_ws('/',
  (SELECT sum(hashtextextended(concat(t.xmin, t.ctid), 0)) FROM tools_registeredtool t WHERE t.user_id = %(user)s AND t.revoked_at IS NULL),
  (SELECT sum(hashtextextended(concat(s.xmin, s.ctid), 0)) FROM tools_mcpserver s WHERE s.user_id = %(user)s OR s.user_id IS NULL),
  (SELECT sum(hashtextextended(concat(m.xmin, m.ctid), 0)) FROM tools_mcptool m JOIN tools_mcpserver s ON s.id = m.server_id
    WHERE s.user_id = %(user)s OR s.user_id IS NULL),
  (SELECT sum(hashtextextended(concat(c.id, c.status, c.holder), 0)) FROM tools_connection c WHERE c.user_id = %(user)s))
"""


@dataclass(frozen=True, slots=True)
class Shelf:
    tools: Mapping[str, Tool]  # by name; what the account registered stands before a built-in of the same name
    ids: Mapping[str, Tool]  # by what `tools` of a request names them
    tenant: tuple[Tool, ...]  # shared by all callers of the account

    def find(self, name: str) -> Tool | None:
        return self.tools.get(name) or self.ids.get(name)


_kept: OrderedDict[tuple[UUID, str], tuple[str, Shelf]] = OrderedDict()
_builtin_tools: dict[str, Tool] = {}


def shelf(user_id: UUID, holder: str) -> Shelf:
    """What this holder of the account may use now. Two statements when something changed, else one."""
    with connection.cursor() as cursor:
        cursor.execute(VERSION, {"user": user_id})
        version = f"{cursor.fetchone()[0]}/{len(registry.builtins())}"
    known = _kept.get((user_id, holder))
    if known and known[0] == version:
        return known[1]
    made = _make(user_id)
    _kept[user_id, holder] = version, made
    _kept.move_to_end((user_id, holder))
    while len(_kept) > MOST_KEPT:
        _kept.popitem(last=False)
    return made


def _make(user_id: UUID) -> Shelf:
    rows = list(RegisteredTool.objects.for_user(user_id).order_by("created_at"))
    own = [(row, tool) for row in rows if (tool := registered(row))]
    bare = builtin_tools()
    return Shelf(
        tools={**{tool.name: tool for tool in bare}, **{tool.name: tool for _, tool in own}},
        ids={**{tool.provider: tool for tool in bare}, **{row.wire_id: tool for row, tool in own}},
        tenant=tuple(tool for row, tool in own if row.auth_mode == RegisteredTool.AuthMode.TENANT),
    )


def registered(row: RegisteredTool) -> Tool | None:
    """None for a built-in that the product no longer has. Rows never change, so their id is the version."""
    if row.kind == RegisteredTool.Kind.WEBHOOK:
        seconds = most_seconds(row.timeout_ms)
        return Tool(row.name, row.description, row.input_schema, "webhook", seconds=seconds, version=row.pk.hex, source=row.wire_id)
    one = registry.builtin(row.provider)
    return _of_builtin(one, row.name, row.description, row.input_schema, row.pk.hex, row.wire_id) if one else None


def builtin_tools() -> Iterable[Tool]:
    """Those that work without being registered: with no account of anybody's, or with one that each caller connects."""
    for one in registry.builtins():
        if one.auth_mode != "tenant":
            if one.slug not in _builtin_tools:
                _builtin_tools[one.slug] = _of_builtin(one, one.slug, one.description, one.input_schema, _version(one), one.slug)
            yield _builtin_tools[one.slug]


def _of_builtin(one: Builtin, name: str, description: str, schema: JsonSchema, version: str, source: str) -> Tool:
    return Tool(
        name=name,
        description=description,
        input_schema=schema,
        kind="builtin",
        writes=one.writes,
        repeatable=one.repeatable,
        seconds=one.seconds,
        price_micros=one.price_micros,
        version=version,
        source=source,
        provider=f"{PREFIX}{one.slug}",
    )


def _version(one: Builtin) -> str:
    said: list[Any] = [one.slug, one.description, one.input_schema, one.writes]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
