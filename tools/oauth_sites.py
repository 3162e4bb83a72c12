"""Where the users of an MCP server sign in, as the server and its authorization service describe it (RFC 9728, RFC 8414).

The MCP authorization specification of 2025-11-25 says in which order to look. Nothing is believed that is not behind https, and no
description that names somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from chatai.lib.egress import EgressError, allowed_by_name
from chatai.lib.http import Reply, fetch

SECONDS = 10.0  # for one request
MOST_BYTES = 256_000
PROBE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "chatai", "version": "1"}},
}


class OAuthError(Exception):
    """A sentence for the person. `final`: trying again is of no use, they have to sign in anew. `code`: RFC 6749's word for it."""

    def __init__(self, message: str, final: bool = False, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.final = final
        self.code = code


class Site(msgspec.Struct, kw_only=True):
    """Where the users of one server sign in. Names are RFC 8414's where it has any."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str = ""
    revocation_endpoint: str = ""
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(default_factory=list)
    client_id_metadata_document_supported: bool = False
    authorization_response_iss_parameter_supported: bool = False
    resource: str = ""  # what tokens are asked for (RFC 8707); empty where the server does not say
    scope: str = ""


async def discover(server_url: str) -> Site:
    """Raises OAuthError; one that says so when the server wants no sign-in."""
    challenge = await _challenge(server_url)
    named = _parameter(challenge, "resource_metadata")
    path = urlsplit(server_url).path.rstrip("/")
    guesses = [f"/.well-known/oauth-protected-resource{path}", "/.well-known/oauth-protected-resource"]
    for address in [named] if named else dict.fromkeys(urljoin(server_url, guess) for guess in guesses):
        document = await _document(address)
        if document is not None:
            return await _site_of_resource(server_url, document, _parameter(challenge, "scope"))
    return await _site_at(urljoin(server_url, "/").rstrip("/"), guessed=True)


async def _challenge(server_url: str) -> str:
    accepted = {"accept": "application/json, text/event-stream"}
    reply = await send("POST", server_url, headers=accepted, json=PROBE)
    if reply.status not in (401, 403):
        raise OAuthError("This server does not ask for a sign-in.")
    return str(reply.headers.get("www-authenticate", ""))


async def _site_of_resource(server_url: str, document: Mapping[str, Any], scope: str) -> Site:
    resource, servers = document.get("resource"), document.get("authorization_servers")
    if not isinstance(resource, str) or not _covers(resource, server_url):
        raise OAuthError("The server describes itself as another one, so nobody is sent to sign in there.")
    if not isinstance(servers, list) or not servers or not isinstance(servers[0], str):
        raise OAuthError("The server does not say where its users sign in.")
    site = await _site_at(servers[0], guessed=False)
    offered = document.get("scopes_supported")
    site.resource = resource
    wanted = scope or (" ".join(map(str, offered)) if isinstance(offered, list) else "")
    # Without offline_access some services give no refresh token; asking a service that does not know it would be refused.
    site.scope = " ".join(dict.fromkeys([*wanted.split(), *site.scope.split()])) if wanted else ""
    return site


async def _site_at(issuer: str, guessed: bool) -> Site:
    base, path = urljoin(issuer, "/").rstrip("/"), urlsplit(issuer).path.rstrip("/")
    kinds = ("oauth-authorization-server", "openid-configuration")
    addresses = [f"{base}/.well-known/{kind}{path}" for kind in kinds]
    for address in dict.fromkeys([*addresses, f"{base}{path}/.well-known/openid-configuration"]):
        document = await _document(address)
        if document is None:
            continue
        try:
            site = msgspec.convert({name: value for name, value in document.items() if value is not None}, Site, strict=False)
        except msgspec.ValidationError:
            raise OAuthError("Where people sign in to this server is described in a way that cannot be used.") from None
        if site.issuer.rstrip("/") != issuer.rstrip("/"):
            raise OAuthError("The sign-in service of this server says that it is another one.")
        return _checked(site, document)
    if not guessed:
        raise OAuthError("The sign-in service of this server does not describe itself.")
    # As servers did before they described themselves (MCP 2025-03-26).
    authorize, token, register = (f"{base}{place}" for place in ("/authorize", "/token", "/register"))
    return _checked(Site(issuer=issuer, authorization_endpoint=authorize, token_endpoint=token, registration_endpoint=register), {})


def _checked(site: Site, document: Mapping[str, Any]) -> Site:
    for address in (site.authorization_endpoint, site.token_endpoint, site.registration_endpoint, site.revocation_endpoint):
        if address and not is_safe(address):
            raise OAuthError("The sign-in service of this server is not behind https.")
    methods = document.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise OAuthError("The sign-in service of this server does not support PKCE with S256.")
    scopes = document.get("scopes_supported")
    site.scope = "offline_access" if isinstance(scopes, list) and "offline_access" in scopes else ""
    return site


def is_safe(address: str) -> bool:
    """https, or a host that the operator excepted."""
    parts = urlsplit(address)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and allowed_by_name(parts.hostname or "")))


async def _document(address: str) -> dict[str, Any] | None:
    """A JSON object that is described at a well-known address; None when there is nothing there."""
    if not is_safe(address):
        raise OAuthError("Where people sign in to this server is not described behind https.")
    reply = await send("GET", address, headers={"accept": "application/json"}, redirects=2)
    if reply.status >= 500:
        raise OAuthError(f"The sign-in service answered with HTTP {reply.status}. Try again later.")
    return object_of(reply) or None if reply.status == 200 else None


async def send(method: str, address: str, **given: Any) -> Reply:
    try:
        return await fetch(method, address, seconds=SECONDS, most_bytes=MOST_BYTES, **given)
    except EgressError as error:
        raise OAuthError(error.message) from None


def object_of(reply: Reply) -> dict[str, Any]:
    try:
        value = reply.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _parameter(challenge: str, name: str) -> str:
    """One parameter of a WWW-Authenticate header, quoted or not."""
    found = re.search(rf'\b{name}=(?:"([^"]*)"|([^\s,"]+))', challenge)
    return (found[1] or found[2] or "") if found else ""


def _covers(resource: str, server_url: str) -> bool:
    """Whether a token for `resource` is one for the server: the same origin, and the same path or one above."""
    ours, theirs = urlsplit(server_url), urlsplit(resource)
    same = (ours.scheme, ours.netloc.lower()) == (theirs.scheme, theirs.netloc.lower())
    return same and f"{ours.path.rstrip('/')}/".startswith(f"{theirs.path.rstrip('/')}/")
