"""Secrets that a vendor repeats in its answer do not reach the model, the page or the logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"
LEAST = 6  # characters; a shorter "secret" is an ordinary word and would mutilate the answer


def redact(value: Any, secrets: list[str]) -> Any:
    """The JSON value with each secret, and each part of one behind a scheme such as Bearer, replaced."""
    parts = {part for secret in secrets for part in (secret, secret.rpartition(" ")[2]) if len(part) >= LEAST}
    return _without(value, sorted(parts, key=len, reverse=True)) if parts else value


def _without(value: Any, parts: list[str]) -> Any:
    match value:
        case str():
            for part in parts:
                value = value.replace(part, HIDDEN)
            return value
        case Mapping():
            return {_without(name, parts): _without(one, parts) for name, one in value.items()}
        case list() | tuple():
            return [_without(one, parts) for one in value]
    return value
