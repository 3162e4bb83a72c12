"""Schemas of tools, and whether what a model or a caller sent fits one."""

from __future__ import annotations

import functools
import json
from typing import Any

import jsonschema_rs

from tools.values import JsonSchema

MOST_SCHEMA_BYTES = 64 * 1024
MOST_ARGUMENT_BYTES = 128 * 1024
MOST_SAID = 300  # characters of one complaint: it may repeat what was sent
COMPLAINTS = 3
# Patterns take a time proportional to the text; those that look ahead or back, which that engine lacks, a limited number of steps.
ENGINES = (jsonschema_rs.RegexOptions(size_limit=1_000_000), jsonschema_rs.FancyRegexOptions(backtrack_limit=20_000, size_limit=1_000_000))
UNUSABLE = (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError)


class BadSchema(Exception):  # noqa: N818 - an answer, not a fault
    """Not a schema that arguments can be held against; the message says why."""


def check_schema(schema: Any) -> None:
    """Raises BadSchema unless it is the JSON Schema of an object, small, and complete in itself."""
    if not isinstance(schema, dict):
        raise BadSchema("It is a JSON object.")
    if len(json.dumps(schema)) > MOST_SCHEMA_BYTES:
        raise BadSchema(f"It is larger than {MOST_SCHEMA_BYTES // 1024} KiB.")
    if schema.get("type", "object") != "object":
        raise BadSchema('Its type is "object": arguments have names.')
    try:
        _validator(json.dumps(schema))
    except UNUSABLE as error:
        raise BadSchema(_first_line(str(error))) from None


def misfit(schema: JsonSchema, arguments: Any) -> str:
    """What is wrong with the arguments, for whoever sent them; empty when nothing is. Raises BadSchema."""
    if not isinstance(arguments, dict):
        return "The arguments are a JSON object."
    if len(json.dumps(arguments, ensure_ascii=False).encode("utf-8", "surrogatepass")) > MOST_ARGUMENT_BYTES:
        return f"The arguments are larger than {MOST_ARGUMENT_BYTES // 1024} KiB."
    try:
        validator = _validator(json.dumps(dict(schema)))
    except UNUSABLE as error:
        raise BadSchema(_first_line(str(error))) from None
    found = []
    for fault in validator.iter_errors(arguments):
        where = "/".join(map(str, fault.instance_path))
        found.append(f"{where}: {_first_line(fault.message)}" if where else _first_line(fault.message))
        if len(found) == COMPLAINTS:
            break
    return "; ".join(found) and f"The arguments do not fit the schema. {'; '.join(found)}"


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= MOST_SAID else f"{line[:MOST_SAID]}…"


@functools.lru_cache(maxsize=2000)
def _validator(schema: str) -> Any:
    read = json.loads(schema)
    # Offline: a schema that refers to an address must not make us fetch it.
    try:
        return jsonschema_rs.validator_for(read, pattern_options=ENGINES[0], offline=True)
    except jsonschema_rs.ValidationError:
        return jsonschema_rs.validator_for(read, pattern_options=ENGINES[1], offline=True)
