"""Templates of vendor calls: `{title}` is an argument of the model, `{config.site}` a setting of the connection.

A string that is nothing but one place takes the value as it is, whatever its type; what has no value is left out of its object.
Values are never read as templates, and in addresses they are escaped, so an argument can change neither host nor path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tools.values import ToolError

PLACE = re.compile(r"\{(\+?)((?:config\.)?[a-z][a-z0-9_]*)\}")
MISSING = object()


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with its places filled; MISSING for a string of which one place has no value."""
    match template:
        case str():
            return _fill_text(template, values)
        case Mapping():
            return {name: filled for name, one in template.items() if (filled := fill(one, values)) is not MISSING}
        case list() | tuple():
            return [filled for one in template if (filled := fill(one, values)) is not MISSING]
    return template


def _fill_text(template: str, values: Mapping[str, Any]) -> Any:
    places = PLACE.findall(template)
    if any(values.get(name) is None for _, name in places):
        return MISSING
    whole = PLACE.fullmatch(template)
    return values[whole[2]] if whole else PLACE.sub(lambda place: str(values[place[2]]), template)


def fill_address(template: str, values: Mapping[str, Any]) -> str:
    """An address. `{name}` is one piece of a path, `{+name}` a path with slashes or a whole address.

    Raises ToolError when a value is missing or would walk out of its place.
    """
    return PLACE.sub(lambda place: piece(place[2], values.get(place[2]), bool(place[1])), template)


def piece(name: str, value: Any, slashes: bool = False) -> str:
    """The value as it may stand in a path. Raises ToolError."""
    if value is None or value == "":
        if name.startswith("config."):
            raise ToolError(f"The connection has no {name.removeprefix('config.')}.", "not_connected")
        raise ToolError(f"{name} is missing.", "invalid")
    text = str(value)
    if any(piece in (".", "..") for piece in re.split(r"[/\\]", text)):
        raise ToolError(f"{name} may not have . or .. as a piece of its path.", "invalid")
    if slashes and name.startswith("config."):
        return text.rstrip("/")  # an address that whoever connected the tool chose; the guard looks at where it leads
    return quote(text.strip("/") if slashes else text, safe="/" if slashes else "")


def fill_headers(template: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    """Raises ToolError for a value that would end the line."""
    filled = {name: str(value) for name, value in fill(template, values).items()}
    for name, value in filled.items():
        if not value.isprintable():
            raise ToolError(f"The header {name} would have a control character.", "invalid")
    return filled
