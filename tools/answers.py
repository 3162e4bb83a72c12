"""What the model is told of a vendor's answer: the few fields that matter, under short names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

MOST_COMPLAINT = 400  # characters of a vendor's own words
WORDS = ("message", "Message", "error_description", "error", "errors", "errorMessages", "detail", "description", "error_summary", "title")

Read = Callable[[Any], Any]


def fields(names: str) -> Read:
    """`fields("number url=html_url author=user.login")` of an object; what the vendor left out is left out."""
    wanted = [(name.partition("=")[0], (name.partition("=")[2] or name).split(".")) for name in names.split()]

    def read(data: Any) -> dict[str, Any]:
        found = {name: at(data, path) for name, path in wanted}
        return {name: value for name, value in found.items() if value is not None and value != []}

    return read


def rows(path: str, names: str) -> Read:
    """The same of each object in the list at `path` (empty: the answer is the list)."""
    one = fields(names)

    def read(data: Any) -> list[dict[str, Any]]:
        found = at(data, path.split(".") if path else [])
        return [one(item) for item in found] if isinstance(found, list) else []

    return read


def at(data: Any, path: Iterable[str]) -> Any:
    """What is at a path of names; through a list, of each of its items. None where there is nothing."""
    path = list(path)
    if not path:
        return data
    if isinstance(data, list):
        return [found for item in data if (found := at(item, path)) is not None]
    return at(data.get(path[0]), path[1:]) if isinstance(data, Mapping) else None


def complaint(data: Any) -> str:
    """The vendor's own words for what is wrong, wherever it puts them; empty when there are none."""
    return " ".join(_words(data).split())[:MOST_COMPLAINT]


def _words(data: Any) -> str:
    match data:
        case str():
            return data
        case list():
            return "; ".join(filter(None, map(_words, data)))
        case Mapping():
            known = next((said for name in WORDS if (said := _words(data.get(name)))), "")
            return known or "; ".join(f"{name}: {said}" for name, value in data.items() if (said := _words(value)))
    return ""
