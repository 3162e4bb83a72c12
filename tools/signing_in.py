"""The ways in which vendors are signed into: credentials of a connection to the headers of a request."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from typing import Any

from tools.filling import fill
from tools.schemas import secret, text
from tools.values import JsonSchema, ToolError
from tools.vendor import Auth, Config, encode, parsed, send

EARLY = 60  # seconds before its end that a token is not used any more
MOST_TOKENS = 1000  # kept in this process; the oldest make room

_tokens: dict[str, tuple[str, float]] = {}  # digest of the refresh token: access token, and when it ends (monotonic)


def header(name: str, template: str) -> Auth:
    """`header("Authorization", "Bearer {config.token}")`."""

    async def headers(config: Config) -> dict[str, str]:
        return {name: _filled(template, config)}

    return headers


def basic(user: str, password: str) -> Auth:
    """HTTP Basic of two templates."""

    async def headers(config: Config) -> dict[str, str]:
        pair = f"{_filled(user, config)}:{_filled(password, config)}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    return headers


def refreshed(brand: str, address: str) -> Auth:
    """A bearer token: the connection's own `access_token`, or one fetched with its `refresh_token` (RFC 6749, section 6)."""

    async def headers(config: Config) -> dict[str, str]:
        if config.get("refresh_token"):
            return {"Authorization": f"Bearer {await _fetched(brand, address, config)}"}
        return {"Authorization": _filled("Bearer {config.access_token}", config)}

    return headers


def tokens(brand: str, scopes: str) -> dict[str, JsonSchema]:
    """The properties of a connection that `refreshed` reads."""
    return {
        "access_token": secret(f"An access token of {brand} with {scopes}. It ends after a while; a refresh token does not."),
        "refresh_token": secret("Instead of it: a refresh token, with the client it was given to."),
        "client_id": text("The client's id.", most=500),
        "client_secret": secret("The client's secret."),
    }


async def _fetched(brand: str, address: str, config: Config) -> str:
    kept = hashlib.sha256(str(config["refresh_token"]).encode()).hexdigest()
    token, end = _tokens.get(kept, ("", 0.0))
    if time.monotonic() < end:
        return token
    form = {name: config[name] for name in ("refresh_token", "client_id", "client_secret") if config.get(name)}
    content = encode({"grant_type": "refresh_token", **form}).encode()
    try:
        reply = await send(brand, "POST", address, headers={"Content-Type": "application/x-www-form-urlencoded"}, content=content)
    except ToolError as error:
        if error.http_status in (400, 401):  # the grant was taken back, or the client is wrong
            raise ToolError(
                f"{brand} does not accept the refresh token; it has to be connected anew.", "not_connected", error.http_status
            ) from None
        raise ToolError(f"{brand} gave no access token.", error.kind, error.http_status) from None
    given = parsed(brand, reply)
    token = str(given.get("access_token") or "") if isinstance(given, Mapping) else ""
    if not token:
        raise ToolError(f"{brand} gave no access token.", "unavailable", reply.status)
    while len(_tokens) >= MOST_TOKENS:
        del _tokens[next(iter(_tokens))]
    _tokens[kept] = (token, time.monotonic() + max(float(given.get("expires_in", 0)) - EARLY, 0))
    return token


def _filled(template: str, config: Config) -> str:
    values: dict[str, Any] = {f"config.{name}": value for name, value in config.items()}
    filled = fill(template, values)
    if not isinstance(filled, str) or not filled.isprintable():
        raise ToolError("This tool is not connected: its credentials are missing or damaged.", "not_connected")
    return filled
