"""A form asked for by a tool: a flat JSON Schema as inputs, and what was typed into them as values again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    label: str
    help: str
    kind: Literal["text", "number", "email", "url", "date", "datetime-local", "checkbox", "select"]
    required: bool
    choices: tuple[tuple[str, str], ...] = ()
    initial: str = ""


KINDS: dict[str, Literal["email", "url", "date", "datetime-local"]] = {
    "email": "email",
    "uri": "url",
    "date": "date",
    "date-time": "datetime-local",
}


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """The inputs of a flat object; what is no primitive is asked for as text."""
    required = schema.get("required") or []
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return []
    return [_field(str(name), told if isinstance(told, Mapping) else {}, name in required) for name, told in properties.items()]


def _field(name: str, told: Mapping[str, Any], required: bool) -> Field:
    kind: Any = KINDS.get(str(told.get("format")), "text")
    choices: tuple[tuple[str, str], ...] = ()
    if isinstance(values := told.get("enum"), list):
        names = said if isinstance(said := told.get("enumNames"), list) and len(said) == len(values) else values
        choices = tuple((str(value), str(name)) for value, name in zip(values, names, strict=True))
    elif isinstance(told.get("oneOf"), list):
        options = [one for one in told["oneOf"] if isinstance(one, Mapping)]
        choices = tuple((str(one.get("const")), str(one.get("title", one.get("const")))) for one in options)
    if choices:
        kind = "select"
    elif told.get("type") in ("number", "integer"):
        kind = "number"
    elif told.get("type") == "boolean":
        kind = "checkbox"
    given = told.get("default")
    initial = "" if given is None else str(given).lower() if isinstance(given, bool) else str(given)
    return Field(name, str(told.get("title") or name), str(told.get("description") or ""), kind, required, choices, initial)


def values_of(schema: Mapping[str, Any], posted: Mapping[str, str]) -> dict[str, Any]:
    """What was typed (as `field.<name>`), in the types that the schema names. Empty inputs are left out; whoever asked checks the rest.

    Raises ValueError with a sentence for what is no number, or is missing.
    """
    values: dict[str, Any] = {}
    properties = schema.get("properties") or {}
    for field in fields_of(schema):
        kind = properties[field.name].get("type") if isinstance(properties[field.name], Mapping) else None
        given = posted.get(f"field.{field.name}", "").strip()
        if field.kind == "checkbox":
            values[field.name] = f"field.{field.name}" in posted
        elif given and kind in ("number", "integer"):
            values[field.name] = _number(given, field.label, whole=kind == "integer")
        elif given:
            values[field.name] = given
        elif field.required:
            raise ValueError(f"“{field.label}” is needed.")
    return values


def _number(given: str, label: str, whole: bool) -> int | float:
    try:
        return int(given) if whole else float(given)
    except ValueError:
        raise ValueError(f"“{label}” is a {'whole number' if whole else 'number'}.") from None
