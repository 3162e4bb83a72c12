"""How Stripe's API looks on the wire: forms with brackets in, JSON objects, lists and errors out."""

from __future__ import annotations

import re
import secrets
import string
import time
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]
API_VERSION = "2026-10-28.endive"
ALPHABET = string.ascii_letters + string.digits


class RefusedError(Exception):
    """An answer in Stripe's error envelope."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None, kind: str = "invalid_request_error"):
        super().__init__(message)
        self.status = status
        self.body: Json = {"error": {"type": kind, "message": message, "code": code, "param": param, "doc_url": "https://stripe.com/docs"}}


def missing(kind: str, given: str) -> RefusedError:
    return RefusedError(404, f"No such {kind}: '{given}'", "resource_missing", "id")


def new_id(prefix: str) -> str:
    return f"{prefix}_1{''.join(secrets.choice(ALPHABET) for _ in range(22))}"


def now() -> int:
    return int(time.time())


def parse_form(text: str) -> Json:
    """`a[b][0][c]=1` as {"a": {"b": [{"c": "1"}]}}; every value stays text, as it is on the wire."""
    tree: Json = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        here = tree
        *parents, last = re.findall(r"[^\[\]]+", name)
        for part in (*parents, last) if name.endswith("[]") else parents:
            here = here.setdefault(part, {})
        here[str(len(here)) if name.endswith("[]") else last] = value
    return {name: _listed(value) for name, value in tree.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(part) for name, part in value.items()}
    return [inner[str(number)] for number in range(len(inner))] if all(name.isdigit() for name in inner) else inner


def page_of(rows: list[Json], path: str, query: Json) -> Json:
    """A list object: newest first, `limit` (10) and `starting_after`."""
    limit = int(query.get("limit", 10))
    if not 1 <= limit <= 100:
        raise RefusedError(400, "This value must be between 1 and 100.", "parameter_invalid_integer", "limit")
    after = query.get("starting_after")
    start = next((place + 1 for place, row in enumerate(rows) if row["id"] == after), 0) if after else 0
    return {"object": "list", "url": path, "has_more": len(rows) > start + limit, "data": rows[start : start + limit]}
