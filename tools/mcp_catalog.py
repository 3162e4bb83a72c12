"""The vendors whose MCP servers can be connected by name (`mcp_catalog.toml`), and how credentials become their headers."""

from __future__ import annotations

import base64
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from django.conf import settings

from tools.values import JsonSchema

FILE = Path(__file__).with_name("mcp_catalog.toml")
PLACE = re.compile(r"\{([a-z0-9_:]+)\}")
IN_URL = r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"  # one label of a host name, or one part of a path
IN_HEADER = r"^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$"  # nothing that could end the header
MOST_CHARS = 4000  # of one field


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    label: str
    secret: bool
    where: str


@dataclass(frozen=True, slots=True)
class Entry:
    slug: str
    name: str
    group: str
    about: str
    url: str
    docs: str
    oauth: Literal["", "dynamic", "registered"]
    headers: Mapping[str, str]
    fields: tuple[Field, ...]

    @property
    def open(self) -> bool:
        """Whether it takes callers without any sign-in."""
        return not self.fields and not self.oauth

    @property
    def signs_in(self) -> bool:
        """Whether its users can sign in on the vendor's own page, from this installation."""
        return self.oauth == "dynamic" or (self.oauth == "registered" and self.slug in settings.MCP_OAUTH_CLIENTS)

    @property
    def wire_name(self) -> str:
        return f"qlaud-mcp/{self.slug}"

    @property
    def config_schema(self) -> JsonSchema:
        """What somebody is asked for who has a token; no properties where only a sign-in works."""
        properties: dict[str, Any] = {}
        for field in self.fields:
            described = {"description": field.where} if field.where else {}
            secret = {"format": "password"} if field.secret else {}
            pattern = IN_URL if f"{{{field.name}}}" in self.url else IN_HEADER
            common = {"type": "string", "title": field.label, "minLength": 1, "maxLength": MOST_CHARS, "pattern": pattern}
            properties[field.name] = {**common, **described, **secret}
        return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}

    def address(self, config: Mapping[str, str]) -> str:
        """Where the server is for these fields, which fit the schema."""
        return PLACE.sub(lambda match: config[match[1]], self.url)

    def filled(self, config: Mapping[str, str]) -> dict[str, str]:
        """The headers that these fields make."""
        return {name: PLACE.sub(lambda match: _value(match[1], config), template) for name, template in self.headers.items()}


def _value(place: str, config: Mapping[str, str]) -> str:
    if not place.startswith("base64:"):
        return config[place]
    pair = ":".join(config[name] for name in place.removeprefix("base64:").split(":"))
    return base64.b64encode(pair.encode()).decode()


@cache
def entries() -> dict[str, Entry]:
    """By slug, in the file's order."""
    return {slug: _entry(slug, row) for slug, row in tomllib.loads(FILE.read_text()).items()}


def entry(slug: str) -> Entry | None:
    """Of "linear" or "qlaud-mcp/linear"."""
    return entries().get(slug.removeprefix("qlaud-mcp/"))


def _entry(slug: str, row: dict[str, Any]) -> Entry:
    fields = tuple(Field(one["name"], one["label"], one.get("secret", False), one.get("where", "")) for one in row.get("fields", ()))
    return Entry(
        slug=slug,
        name=row["name"],
        group=row["group"],
        about=row["about"],
        url=row["url"],
        docs=row["docs"],
        oauth=row.get("oauth", ""),
        headers=row.get("headers", {}),
        fields=fields,
    )
