"""Typed readers for environment variables: a value that makes no sense stops the start, by name.

`load_defaults` reads the file that `manage.py up` keeps under DATA_DIR, so that a second terminal
(`manage.py mint_key …`) reaches the same embedded database as the running processes.
"""

import os
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NoReturn

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}


class EnvError(Exception):
    """A variable is set to something that cannot be used; the message says what would do."""


def load_defaults(path: Path) -> None:
    """Set every NAME=value line of `path` that the environment does not already have."""
    for name, value in read_file(path).items():
        os.environ.setdefault(name, value)


def read_file(path: Path) -> dict[str, str]:
    """The NAME=value lines of `path`; nothing when there is no such file."""
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines() if not line.startswith("#"))
    return {name.strip(): value.strip() for name, separator, value in pairs if separator}


def text(name: str, default: str = "", source: Mapping[str, str] = os.environ) -> str:
    return source.get(name, "").strip() or default


def flag(name: str, default: bool = False, source: Mapping[str, str] = os.environ) -> bool:
    value = source.get(name, "").strip().lower()
    if not value:
        return default
    if value in TRUE or value in FALSE:
        return value in TRUE
    _refuse(name, value, "1 or 0")


def integer(name: str, default: int, minimum: int = 0, source: Mapping[str, str] = os.environ) -> int:
    value = source.get(name, "").strip()
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        _refuse(name, value, "a whole number")
    if number < minimum:
        _refuse(name, value, f"at least {minimum}")
    return number


def decimal(name: str, default: str, source: Mapping[str, str] = os.environ) -> Decimal:
    value = source.get(name, "").strip() or default
    try:
        number = Decimal(value)
    except InvalidOperation:
        _refuse(name, value, "a number such as 5 or 2.50")
    if not number.is_finite() or number < 0:
        _refuse(name, value, "a number that is not negative")
    return number


def words(name: str, default: str = "", source: Mapping[str, str] = os.environ) -> list[str]:
    """A comma-separated list without empty entries."""
    return [part.strip() for part in text(name, default, source).split(",") if part.strip()]


def url(name: str, default: str = "", schemes: tuple[str, ...] = ("http", "https"), source: Mapping[str, str] = os.environ) -> str:
    """An address without a trailing slash."""
    value = text(name, default, source)
    if value and not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        _refuse(name, value, " or ".join(f"{scheme}://…" for scheme in schemes))
    return value.rstrip("/")


def pair(entry: str, name: str) -> tuple[str, str]:
    """One `host=https://…` of a list called `name`."""
    host, _, address = entry.partition("=")
    if not host or not address.startswith(("http://", "https://")):
        _refuse(name, entry, "a list of host=https://…")
    return host, address.rstrip("/")


def client(entry: str, name: str) -> tuple[str, tuple[str, str]]:
    """One `vendor:client_id:client_secret` of a list called `name`."""
    vendor, client_id, secret = (*entry.split(":", 2), "", "")[:3]
    if not vendor or not client_id:
        _refuse(name, vendor, "a list of vendor:client_id:client_secret")
    return vendor, (client_id, secret)


def _refuse(name: str, value: str, expected: str) -> NoReturn:
    # The value of a secret must not reach a log, so only short, harmless values are repeated.
    shown = f" ({value[:20]!r})" if not any(word in name for word in ("KEY", "SECRET", "TOKEN", "PASSWORD", "URL")) else ""
    raise EnvError(f"{name}{shown} should be {expected}.")
