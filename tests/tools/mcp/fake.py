"""An MCP server and the service where its users sign in, over real HTTP: scripted, and strict about what is sent to it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from aiohttp import web

READ = {"name": "search", "description": "Finds issues.", "inputSchema": {"type": "object", "properties": {"q": {"type": "string"}}}}
READ["annotations"] = {"readOnlyHint": True}
WRITE = {
    "name": "create_issue",
    "description": "Makes an issue.",
    "inputSchema": {"type": "object", "properties": {"title": {"type": "string"}}},
}
ASKING = {"name": "book", "description": "Asks for a date.", "inputSchema": {"type": "object", "properties": {}}}
FORM = {"type": "object", "properties": {"day": {"type": "string", "title": "Day"}}, "required": ["day"]}


@dataclass
class Fake:
    """What it does, and what was done to it."""

    url: str = ""
    tools: list[dict[str, Any]] = field(default_factory=lambda: [dict(READ), dict(WRITE), dict(ASKING)])
    headers: dict[str, str] = field(default_factory=dict)  # it wants these; with `oauth`, a token of its own besides
    oauth: bool = False
    trouble: str = ""  # "hang", "html", "500", "redirect", "huge", "error"
    life: float = 3600.0  # seconds of an access token
    no_refresh: bool = False
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)  # of well-known documents, by name
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)  # method of JSON-RPC, headers, params
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    access: set[str] = field(default_factory=set)
    refresh: dict[str, str] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)
    revocation_trouble: str = ""  # "hang", "gone", or a status
    token_requests: list[dict[str, str]] = field(default_factory=list)
    token_trouble: str = ""  # an error of RFC 6749, or "500"
    answers: dict[Any, asyncio.Future[Any]] = field(default_factory=dict)

    @property
    def mcp(self) -> str:
        return f"{self.url}/mcp"

    # --- MCP ----------------------------------------------------------------------------------------------------------
    async def post(self, request: web.Request) -> web.StreamResponse:
        if self.trouble == "hang":
            await asyncio.sleep(30)
        plain = {"html": (200, "<html>"), "500": (500, "no"), "huge": (200, "x" * 5_000_000)}
        if self.trouble in plain:
            status, text = plain[self.trouble]
            return web.Response(status=status, text=text, content_type="text/html" if self.trouble == "html" else "application/json")
        if self.trouble == "redirect":
            return web.Response(status=307, headers={"location": "http://127.0.0.1:1/stolen"})
        if not self._let_in(request):
            where = f'resource_metadata="{self.url}/.well-known/oauth-protected-resource/mcp"'
            return web.Response(status=401, headers={"www-authenticate": f"Bearer {where}" if self.oauth else "Bearer"})
        body = await request.json()
        method = body.get("method", "")
        if not method:  # an answer to something we asked
            self.answers[body["id"]].set_result(body.get("result"))
            return web.Response(status=202)
        self.seen.append((method, dict(request.headers), body.get("params")))
        if "id" not in body:
            return web.Response(status=202)
        if method == "tools/call" and body["params"]["name"] == "book":
            return await self._book(request, body["id"])
        result = self._result(method, body.get("params") or {})
        extra = {"mcp-session-id": "s1"} if method == "initialize" else {}
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], **result}, headers=extra)

    def _let_in(self, request: web.Request) -> bool:
        if any(request.headers.get(name) != value for name, value in self.headers.items()):
            return False
        return not self.oauth or request.headers.get("authorization", "").removeprefix("Bearer ") in self.access

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "initialize":
            info = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "fake", "version": "1"}}
            return {"result": info}
        if method == "tools/list" and not isinstance(self.tools, list):
            return {"result": {"tools": self.tools}}
        if method == "tools/list":
            half = len(self.tools) // 2
            page = {"tools": self.tools[half:]} if params.get("cursor") else {"tools": self.tools[:half], "nextCursor": "more"}
            return {"result": page}
        if method == "tools/call":
            self.calls.append((params["name"], params.get("arguments", {})))
            if self.trouble == "error":
                return {"error": {"code": -32000, "message": f"It broke. {self.headers} {self.access}"}}
            picture = {"type": "image", "data": base64.b64encode(b"png").decode(), "mimeType": "image/png"}
            text = {
                "type": "text",
                "text": f"done {json.dumps(params.get('arguments', {}))} {' '.join([*self.headers.values(), *self.access])}",
            }
            return {"result": {"content": [text, picture], "isError": bool(params.get("arguments", {}).get("fail"))}}
        return {"error": {"code": -32601, "message": "Method not found"}}

    async def _book(self, request: web.Request, request_id: Any) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await stream.prepare(request)
        self.answers["ask"] = asyncio.get_running_loop().create_future()
        asked = {"message": "Which day?", "requestedSchema": FORM}
        await self._event(stream, {"jsonrpc": "2.0", "id": "ask", "method": "elicitation/create", "params": asked})
        answer = await self.answers["ask"]
        self.calls.append(("book", answer))
        said = {"content": [{"type": "text", "text": f"booked {answer['action']} {answer.get('content')}"}]}
        await self._event(stream, {"jsonrpc": "2.0", "id": request_id, "result": said})
        return stream

    async def _event(self, stream: web.StreamResponse, message: dict[str, Any]) -> None:
        await stream.write(f"event: message\ndata: {json.dumps(message)}\n\n".encode())

    # --- the sign-in service ------------------------------------------------------------------------------------------
    async def resource(self, request: web.Request) -> web.Response:
        said = {"resource": self.mcp, "authorization_servers": [f"{self.url}/as"], "scopes_supported": ["read", "write"]}
        return web.json_response({**said, **self.overrides.get("resource", {})})

    async def service(self, request: web.Request) -> web.Response:
        places = {f"{name}_endpoint": f"{self.url}/as/{path}" for name, path in (("authorization", "authorize"), ("token", "token"))}
        places |= {"registration_endpoint": f"{self.url}/as/register", "revocation_endpoint": f"{self.url}/as/revoke"}
        said: dict[str, Any] = {
            "issuer": f"{self.url}/as",
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["read", "offline_access"],
        }
        said["authorization_response_iss_parameter_supported"] = True
        said["token_endpoint_auth_methods_supported"] = ["client_secret_basic", "client_secret_post"]
        return web.json_response({**places, **said, **self.overrides.get("service", {})})

    async def register(self, request: web.Request) -> web.Response:
        asked = await request.json()
        client = {"client_id": f"client-{len(self.clients)}", "client_secret": "client-s3cret-value"}
        self.clients[client["client_id"]] = asked
        return web.json_response({**asked, **client, "client_secret_expires_at": 0}, status=201)

    def authorize(self, address: str) -> str:
        """What a person who allows it is sent back with."""
        query = {name: values[0] for name, values in parse_qs(address.partition("?")[2]).items()}
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert query["redirect_uri"] in self.clients[query["client_id"]]["redirect_uris"]
        code = secrets.token_urlsafe(12)
        self.codes[code] = query
        return urlencode({"code": code, "state": query["state"], "iss": f"{self.url}/as"})

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.token_requests.append(form)
        if self.token_trouble:
            status = 500 if self.token_trouble == "500" else 400
            return web.json_response({"error": self.token_trouble}, status=status)
        if form.get("client_secret") != "client-s3cret-value" or form.get("resource") != self.mcp:
            return web.json_response({"error": "invalid_client"}, status=401)
        if form["grant_type"] == "authorization_code":
            asked = self.codes.pop(form["code"], None)
            digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
            if asked is None or digest != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
                return web.json_response({"error": "invalid_grant"}, status=400)
        elif self.refresh.pop(form["refresh_token"], None) is None:  # each works once
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(self.tokens())

    def tokens(self) -> dict[str, Any]:
        access, renewal = f"at-{secrets.token_urlsafe(12)}", f"rt-{secrets.token_urlsafe(12)}"
        self.access = {access}
        self.refresh[renewal] = access
        more = {} if self.no_refresh else {"refresh_token": renewal}
        return {"access_token": access, "token_type": "bearer", "expires_in": self.life, **more}

    async def revoke(self, request: web.Request) -> web.Response:
        if self.revocation_trouble == "hang":
            await asyncio.sleep(30)
        if self.revocation_trouble == "gone":
            assert request.transport is not None
            request.transport.abort()
        if self.revocation_trouble:
            return web.Response(status=int(self.revocation_trouble) if self.revocation_trouble.isdigit() else 500)
        token = str((await request.post())["token"])
        self.revoked.append(token)
        self.access.discard(token)
        return web.Response()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/mcp", self.post)
        app.router.add_delete("/mcp", self._gone)
        app.router.add_get("/.well-known/oauth-protected-resource/mcp", self.resource)
        app.router.add_get("/.well-known/oauth-authorization-server/as", self.service)
        app.router.add_post("/as/register", self.register)
        app.router.add_post("/as/token", self.token)
        app.router.add_post("/as/revoke", self.revoke)
        return app

    async def _gone(self, request: web.Request) -> web.Response:
        return web.Response()


@contextmanager
def serving(app: web.Application) -> Iterator[str]:
    """Its address, while a thread of its own serves it."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    port: list[int] = []

    async def start() -> web.AppRunner:
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.append(runner.addresses[0][1])
        ready.set()
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{port[0]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
