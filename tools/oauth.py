"""Signing in to an MCP server: OAuth 2.1 with PKCE.

We become known to a service by the operator's own OAuth app, by a client metadata document, or by registering (RFC 7591).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from django.conf import settings

from chatai.lib.http import Reply
from tools.oauth_sites import SECONDS as SECONDS
from tools.oauth_sites import OAuthError, Site, object_of, send

SECRET_METHODS = ("client_secret_post", "client_secret_basic")


class Client(msgspec.Struct):
    """As whom we are known there."""

    client_id: str
    client_secret: str = ""
    auth_method: str = "none"


class Registered(msgspec.Struct):
    """What a service answers to a registration, as far as it is needed."""

    client_id: str
    client_secret: str | None = None
    auth_method: str | None = None


class Known(msgspec.Struct):
    """Both, as they are kept with the server."""

    site: Site
    client: Client
    redirect_uri: str


class Tokens(msgspec.Struct):
    access_token: str
    refresh_token: str = ""
    expires_in: float | None = None
    scope: str = ""
    token_type: str = "Bearer"  # noqa: S105


def redirect_uri() -> str:
    return f"{settings.SITE_URL}/connect/return"


def client_document_url() -> str:
    return f"{settings.SITE_URL}/connect/client.json"


def client_metadata() -> dict[str, Any]:
    """What we say of ourselves."""
    return {
        "client_name": settings.SITE_NAME,
        "client_uri": settings.SITE_URL,
        "redirect_uris": [redirect_uri()],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "web",
    }


async def become_known(site: Site, own: tuple[str, str] | None) -> Client:
    """`own`: the operator's OAuth app there. Raises OAuthError."""
    methods = site.token_endpoint_auth_methods_supported or ["client_secret_basic"]
    if own is not None:
        client_id, secret = own
        with_secret = next((method for method in reversed(SECRET_METHODS) if method in methods), "client_secret_post")
        return Client(client_id, secret, with_secret if secret else "none")
    if site.client_id_metadata_document_supported and settings.SITE_URL.startswith("https://"):
        return Client(client_document_url())
    if not site.registration_endpoint:
        raise OAuthError("This service only lets in apps that it knows: the operator has to make one there (MCP_OAUTH_CLIENTS).")
    wanted = next((method for method in ("none", *SECRET_METHODS) if method in methods), "none")
    asked = {**client_metadata(), "token_endpoint_auth_method": wanted, **({"scope": site.scope} if site.scope else {})}
    reply = await send("POST", site.registration_endpoint, json=asked)
    given = object_of(reply) if reply.status in (200, 201) else {}
    try:
        client = msgspec.convert({"auth_method": given.get("token_endpoint_auth_method"), **given}, Registered)
    except msgspec.ValidationError:
        raise OAuthError(f"The sign-in service of this server did not register us (HTTP {reply.status}).") from None
    secret = client.client_secret or ""
    method = client.auth_method or (wanted if secret else "none")
    if method not in ("none", *SECRET_METHODS) or (method != "none" and not secret):
        raise OAuthError("The sign-in service of this server wants us to prove who we are in a way that we cannot.")
    return Client(client.client_id, secret, method)


def new_verifier() -> str:
    """A PKCE code verifier: 86 characters (RFC 7636, section 4.1)."""
    return secrets.token_urlsafe(64)


def authorization_url(known: Known, state: str, verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": known.client.client_id,
        "redirect_uri": known.redirect_uri,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        **({"resource": known.site.resource} if known.site.resource else {}),
        **({"scope": known.site.scope} if known.site.scope else {}),
    }
    address = known.site.authorization_endpoint
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"


def check_issuer(known: Known, given: str) -> None:
    """RFC 9207: an answer that names its issuer names the right one. Raises OAuthError."""
    expected = known.site.authorization_response_iss_parameter_supported or given
    if expected and given.rstrip("/") != known.site.issuer.rstrip("/"):
        raise OAuthError("The answer came from another sign-in service than the one that was asked.", final=True)


async def exchange(known: Known, code: str, verifier: str) -> Tokens:
    """Raises OAuthError."""
    asked = {"grant_type": "authorization_code", "code": code, "redirect_uri": known.redirect_uri, "code_verifier": verifier}
    return await _token(known, asked)


async def refresh(known: Known, refresh_token: str) -> Tokens:
    """Keeps the refresh token where no new one is given. Raises OAuthError."""
    tokens = await _token(known, {"grant_type": "refresh_token", "refresh_token": refresh_token})
    tokens.refresh_token = tokens.refresh_token or refresh_token
    return tokens


async def revoke(known: Known, tokens: Tokens) -> bool:
    """RFC 7009, both tokens; whether the service took them back. Raises OAuthError when it cannot be reached."""
    if not known.site.revocation_endpoint:
        return False
    statuses = []
    for hint, token in (("refresh_token", tokens.refresh_token), ("access_token", tokens.access_token)):
        if token:
            reply = await _form(known, known.site.revocation_endpoint, {"token": token, "token_type_hint": hint})
            statuses.append(reply.status)
    return all(status == 200 for status in statuses)


async def _token(known: Known, asked: dict[str, str]) -> Tokens:
    reply = await _form(known, known.site.token_endpoint, {**asked, **({"resource": known.site.resource} if known.site.resource else {})})
    if reply.status != 200:
        code = str(object_of(reply).get("error", ""))[:60]
        said = code if code.isidentifier() else f"HTTP {reply.status}"
        # Of this kind: what we hold is of no use any more. A fault of theirs, or a limit, passes.
        raise OAuthError(f"The sign-in service refused ({said}).", final=reply.status in (400, 401, 403), code=code)
    try:
        tokens = msgspec.convert({name: value for name, value in object_of(reply).items() if value is not None}, Tokens, strict=False)
    except msgspec.ValidationError:
        raise OAuthError("The sign-in service answered without a token.") from None
    if not tokens.access_token or tokens.token_type.lower() != "bearer":
        raise OAuthError("The sign-in service gave a token of a kind that cannot be used.")
    return tokens


async def _form(known: Known, address: str, fields: dict[str, str]) -> Reply:
    client, headers = known.client, {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    if client.auth_method == "client_secret_basic":
        pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        fields = {**fields, "client_id": client.client_id}
        if client.auth_method == "client_secret_post":
            fields["client_secret"] = client.client_secret
    return await send("POST", address, headers=headers, content=urlencode(fields).encode())
