"""The templates of http-call: `{{input.x}}`, `{{secrets.X}}` and `{{end_user.…}}` in an address, headers and a body.

Every value is escaped for the place it stands in. What the model says never chooses the host that a secret goes to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tools.filling import piece
from tools.locking import trusted
from tools.values import Caller, ToolError

PLACE = re.compile(r"\{\{\s*(input|secrets|end_user)\.([A-Za-z0-9_.-]+)\s*\}\}")
ORIGIN = re.compile(r"(https?://[^/?#]*|\{\{\s*secrets\.[A-Za-z0-9_.-]+\s*\}\})(.*)", re.DOTALL)


class Values:
    """What places stand for, for one call."""

    def __init__(self, inputs: Mapping[str, Any], secrets: Mapping[str, str], caller: Caller) -> None:
        self.inputs = inputs
        self.secrets = secrets
        self.caller = caller

    def of(self, kind: str, path: str) -> Any:
        """None for an input that the model left out. Raises ToolError for a secret or a fact of the conversation that is not there."""
        if kind == "end_user":
            return trusted(f"end_user.{path}", self.caller)
        if kind == "secrets":
            if path not in self.secrets:
                raise ToolError(f"This tool has no secret called {path}.", "not_connected")
            return self.secrets[path]
        found: Any = self.inputs
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def line(self, template: str, name: str) -> str:
        """A header's value."""
        filled = PLACE.sub(lambda place: _plain(self.of(place[1], place[2])), template)
        if not filled.isprintable():
            raise ToolError(f"The header {name} would have a control character.", "invalid")
        return filled


def address(template: str, values: Values) -> str:
    """Raises ToolError when the model would choose the host, or walk out of its place in the path."""
    parts = ORIGIN.fullmatch(template.strip())
    if parts is None:
        raise ToolError("The tool's url does not start with https:// or http://.", "invalid")
    origin, rest = parts[1], parts[2]
    if PLACE.search(origin) and "input" in {place[1] for place in PLACE.finditer(origin)}:
        raise ToolError("The tool's url lets the model choose the host; only its path and query may have {{input.…}}.", "refused")
    path, mark, query = rest.partition("?")
    whole = origin.startswith("{{")
    filled = PLACE.sub(lambda place: _plain(values.of(place[1], place[2])) if whole else _quoted(place, values), origin)
    filled += PLACE.sub(lambda place: piece(place[2], values.of(place[1], place[2])), path)
    return filled + mark + PLACE.sub(lambda place: _quoted(place, values), query)


def body(template: str, content_type: str, values: Values) -> bytes:
    """JSON stays JSON and a form a form, whatever the values are; other text takes them as they are."""
    if "json" in content_type or (not content_type and template.lstrip()[:1] in ("{", "[")):
        return _json(template, values).encode()
    if "x-www-form-urlencoded" in content_type:
        return PLACE.sub(lambda place: _quoted(place, values), template).encode()
    return PLACE.sub(lambda place: _plain(values.of(place[1], place[2])), template).encode()


def _json(template: str, values: Values) -> str:
    """A place inside of quotes becomes text, one outside of them a value of its type."""
    parts, quoted, end = [], False, 0
    for place in PLACE.finditer(template):
        between = template[end : place.start()]
        quoted ^= len(re.findall(r'(?<!\\)(?:\\\\)*"', between)) % 2 == 1
        value = values.of(place[1], place[2])
        parts += [between, json.dumps(_plain(value), ensure_ascii=False)[1:-1] if quoted else json.dumps(value, ensure_ascii=False)]
        end = place.end()
    return "".join(parts) + template[end:]


def mapping(setting: str, name: str) -> dict[str, str]:
    """A setting that is a JSON object of strings, inside of a string. Raises ToolError."""
    found = _loaded(setting or "{}", name)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ToolError(f"The tool's {name} are not a JSON object of strings.", "invalid")
    return found


def names(setting: str, name: str) -> list[str]:
    """A setting that is a JSON array of strings, inside of a string. Raises ToolError."""
    found = _loaded(setting or "[]", name)
    if not isinstance(found, list) or not all(isinstance(value, str) for value in found):
        raise ToolError(f"The tool's {name} are not a JSON array of strings.", "invalid")
    return found


def _loaded(setting: str, name: str) -> Any:
    try:
        return json.loads(setting)
    except ValueError:
        raise ToolError(f"The tool's {name} are not JSON.", "invalid") from None


def _quoted(place: re.Match[str], values: Values) -> str:
    return quote(_plain(values.of(place[1], place[2])), safe="")


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
