"""The two halves of signing in at a vendor: sending somebody there, and taking them back. Between the two lies only a sealed row."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping

import msgspec
from django.conf import settings

from tools import connect_links, credentials, mcp_lists, oauth, tokens
from tools.connected import Connection, ConnectLink, McpServer, put_secret, secret
from tools.database import in_thread
from tools.oauth import Known
from tools.oauth_sites import OAuthError, discover
from tools.values import ToolError


class Pending(msgspec.Struct):
    """What has to be the same when they come back."""

    verifier: str
    browser: str  # digest, in hex, of what their browser holds in a cookie
    known: Known


async def begin(link: ConnectLink) -> tuple[str, str]:
    """The vendor's address to go to, and what the browser has to show when it comes back. Raises OAuthError."""
    assert link.server is not None
    known = await known_for(link.server)
    state, browser, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(32), oauth.new_verifier()
    pending = Pending(verifier, connect_links.digest(browser).hex(), known)
    await in_thread(_keep_pending, link, state, pending)
    return oauth.authorization_url(known, state, verifier), browser


async def known_for(server: McpServer) -> Known:
    """Where its users sign in; found out, and we registered there, by the first of them. Raises OAuthError."""
    known = await in_thread(tokens.known_of, server)
    if known is not None and known.redirect_uri == oauth.redirect_uri():
        return known
    site = await discover(server.server_url)
    client = await oauth.become_known(site, settings.MCP_OAUTH_CLIENTS.get(server.catalog_slug))
    known = Known(site, client, oauth.redirect_uri())
    await in_thread(_keep_known, server, known)
    return known


async def finish(link: ConnectLink, answer: Mapping[str, str], browser: str) -> Connection:
    """The connection that the vendor's answer makes; its tools are listed if they can be. Raises OAuthError."""
    assert link.server is not None
    pending = await in_thread(_pending, link)
    if not hmac.compare_digest(pending.browser, connect_links.digest(browser).hex()):
        raise OAuthError("This sign-in was begun in another browser. Open the link there.", final=True)
    oauth.check_issuer(pending.known, answer.get("iss", ""))
    if "error" in answer or not answer.get("code"):
        denied = answer.get("error") == "access_denied"
        raise OAuthError("You did not allow it, so nothing was connected." if denied else "The sign-in did not work. Try once more.")
    if not await in_thread(connect_links.spend, link):
        raise OAuthError("This link has been used already.", final=True)
    try:
        got = await oauth.exchange(pending.known, answer["code"], pending.verifier)
    except OAuthError as error:
        if error.code == "invalid_client":  # they forgot us: the next one registers anew
            await in_thread(_forget_known, link.server)
        raise
    connection = await in_thread(credentials.keep_tokens, link.user_id, link.holder, link.service, link.server, got)
    try:
        await mcp_lists.refresh(link.server, connection)
    except ToolError:
        return connection  # connected all the same; the reason is on the server's row, and the worker lists them later
    return connection


def _keep_pending(link: ConnectLink, state: str, pending: Pending) -> None:
    link.state_digest = connect_links.digest(state)
    put_secret(link, "sealed", msgspec.json.encode(pending).decode())
    link.save(update_fields=["state_digest", "sealed"])


def _pending(link: ConnectLink) -> Pending:
    return msgspec.json.decode(secret(link) or "{}", type=Pending)


def _keep_known(server: McpServer, known: Known) -> None:
    put_secret(server, "sealed_oauth", msgspec.json.encode(known).decode())
    server.save(update_fields=["sealed_oauth"])


def _forget_known(server: McpServer) -> None:
    McpServer.objects.filter(pk=server.pk).update(sealed_oauth="")
