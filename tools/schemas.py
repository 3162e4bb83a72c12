"""Shorthand for the JSON Schemas of built-in tools: what the model may say, and what whoever connects a tool fills in."""

from __future__ import annotations

from typing import Any

from tools.values import JsonSchema

MOST_CHARS = 20_000  # of one text of an argument


def takes(required: str = "", /, **properties: JsonSchema) -> JsonSchema:
    """An object of these properties and no others; `required` names some of them, with spaces between."""
    unknown = set(required.split()) - properties.keys()
    if unknown:
        raise ValueError(f"required and not described: {sorted(unknown)}")
    return {"type": "object", "properties": properties, "required": required.split(), "additionalProperties": False}


def text(description: str, *, most: int = MOST_CHARS, least: int = 0, **more: Any) -> JsonSchema:
    return {"type": "string", "description": description, **({"minLength": least} if least else {}), "maxLength": most, **more}


def word(description: str, **more: Any) -> JsonSchema:
    """A short text that is not empty: a name, an id."""
    return text(description, least=1, most=500, **more)


def secret(description: str) -> JsonSchema:
    """Stored encrypted, never shown again, and taken out of whatever a vendor answers."""
    return {"type": "string", "format": "password", "description": description, "minLength": 1, "maxLength": 4000}


def choice(description: str, *values: str, **more: Any) -> JsonSchema:
    return {"type": "string", "description": description, "enum": list(values), **more}


def whole(description: str, least: int, most: int, **more: Any) -> JsonSchema:
    return {"type": "integer", "description": description, "minimum": least, "maximum": most, **more}


def number(description: str, **more: Any) -> JsonSchema:
    return {"type": "number", "description": description, **more}


def flag(description: str, default: bool = False) -> JsonSchema:
    return {"type": "boolean", "description": description, "default": default}


def several(description: str, of: JsonSchema | None = None, most: int = 50, **more: Any) -> JsonSchema:
    return {"type": "array", "description": description, "items": of or {"type": "string", "maxLength": 500}, "maxItems": most, **more}


def record(description: str, **more: Any) -> JsonSchema:
    """An object of any names."""
    return {"type": "object", "description": description, **more}


def limit(most: int = 50, default: int = 10) -> JsonSchema:
    return whole("How many at most.", 1, most, default=default)


def moment(description: str, **more: Any) -> JsonSchema:
    return text(f"{description} ISO 8601 with a zone, such as 2026-03-01T15:00:00+01:00.", least=10, most=40, **more)


def defaults(schema: JsonSchema) -> dict[str, Any]:
    """What the schema says for properties that nobody gave."""
    return {name: one["default"] for name, one in schema.get("properties", {}).items() if "default" in one}


def secret_names(schema: JsonSchema) -> set[str]:
    return {name for name, one in schema.get("properties", {}).items() if one.get("format") == "password"}
