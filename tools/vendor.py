"""A vendor's HTTP API as built-in tools see it: where it is, how it is signed into, and one `Call` per tool.

A `Call` is data (method, path, body as templates, see filling.py); this file is the only one that carries it out.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from django.conf import settings

from chatai.lib.http import EgressError, Reply, fetch
from tools.answers import Read, complaint
from tools.filling import fill, fill_address, fill_headers
from tools.redaction import redact
from tools.registry import NO_CONFIG, Builtin, Use
from tools.schemas import defaults, secret_names
from tools.values import AuthMode, JsonSchema, Outcome, ToolError

MOST_BYTES = 4_000_000  # of one answer; the dispatcher cuts what the model gets much shorter
EGRESS_KINDS = {"timeout": "timeout", "network": "unavailable"}  # the others are refusals

Config = Mapping[str, Any]
Auth = Callable[[Config], Awaitable[dict[str, str]]]  # settings and credentials to headers
Prepare = Callable[[dict[str, Any], Config], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request and how to read its answer."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str  # from the vendor's address, or a whole address
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None  # the body, one of three
    form: Mapping[str, Any] | None = None
    content: str | None = None  # as it is; its type goes into `headers`
    prepare: Prepare | None = None  # more values for the templates, made of arguments and config
    read: Read | None = None  # None: the answer as it is
    answer: Literal["json", "text"] = "json"
    most_bytes: int = MOST_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """Whose service, where, and what a connection to it consists of. Tools of one vendor share a connection."""

    slug: str
    brand: str
    base: str
    config: JsonSchema = field(default_factory=lambda: NO_CONFIG)
    auth: Auth | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    failed: Callable[[Any], str] | None = None  # the complaint in an answer of status 200; empty when it is none
    auth_mode: AuthMode = "either"
    connection: str = ""  # where several share one ("google"); else the slug

    def tool(
        self,
        action: str,
        name: str,
        description: str,
        inputs: JsonSchema,
        call: Call,
        *,
        writes: bool,
        seconds: float = 30.0,
    ) -> Builtin:
        """The tool that makes this one call. One that only reads may be run again."""
        taken = {**defaults(inputs)}

        async def run(arguments: dict[str, Any], use: Use) -> Outcome:
            return await self.perform(call, {**taken, **arguments}, use.config, seconds)

        return Builtin(
            slug=f"{self.slug}-{action}" if action else self.slug,
            display_name=name,
            description=description,
            brand=self.brand,
            input_schema=inputs,
            run=run,
            config_schema=self.config,
            auth_mode=self.auth_mode,
            writes=writes,
            repeatable=not writes,
            seconds=seconds,
            connection="" if self.auth_mode == "none" else self.connection or self.slug,
        )

    async def perform(self, call: Call, arguments: dict[str, Any], config: Config, seconds: float = 30.0) -> Outcome:
        """Raises ToolError with the vendor's own words, without what is secret."""
        config = {**defaults(self.config), **config}
        values = {**arguments, **{f"config.{name}": value for name, value in config.items()}}
        if call.prepare:
            values |= call.prepare(arguments, config)
        proof = await self.auth(config) if self.auth else {}
        hidden = [str(config[name]) for name in secret_names(self.config) if config.get(name)] + list(proof.values())
        try:
            reply = await self._send(call, values, proof, seconds)
            output = self._read(call, reply)
        except ToolError as error:
            raise ToolError(redact(error.message, hidden), error.kind, error.http_status) from None
        return Outcome(redact(output, hidden), http_status=reply.status)

    async def _send(self, call: Call, values: Mapping[str, Any], proof: dict[str, str], seconds: float) -> Reply:
        headers = fill_headers({"Accept": "application/json", **self.headers, **call.headers}, values) | proof
        address = fill_address(call.path if "://" in call.path else self.base + call.path, values)
        content = None
        if call.json is not None:
            headers = {"Content-Type": "application/json", **headers}
            content = json.dumps(fill(call.json, values), ensure_ascii=False).encode()
        elif call.form is not None:
            headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
            content = encode(fill(call.form, values)).encode()
        elif call.content is not None:
            content = _bytes(fill(call.content, values))
        if query := encode(fill(call.query, values)):
            address += ("&" if "?" in address else "?") + query
        return await send(self.brand, call.method, address, headers=headers, content=content, seconds=seconds, most_bytes=call.most_bytes)

    def _read(self, call: Call, reply: Reply) -> Any:
        data = parsed(self.brand, reply) if call.answer == "json" else reply.text()
        if self.failed and (said := self.failed(data)):
            raise ToolError(f"{self.brand} refused: {said}", "refused", reply.status)
        if data is None:
            return "Done."
        return call.read(data) if call.read else data


async def send(
    brand: str,
    method: str,
    address: str,
    *,
    headers: dict[str, str] | None = None,
    content: bytes | None = None,
    seconds: float = 30.0,
    most_bytes: int = MOST_BYTES,
    types: tuple[str, ...] | None = None,
    redirects: int = 0,
) -> Reply:
    """One request through the guard. Raises ToolError for what did not arrive and for every status but 2xx."""
    try:
        reply = await fetch(
            method,
            located(address),
            headers=headers,
            content=content,
            seconds=seconds,
            most_bytes=most_bytes,
            types=types,
            redirects=redirects,
        )
    except EgressError as error:
        raise ToolError(f"{brand} could not be asked: {error}", EGRESS_KINDS.get(error.kind, "refused")) from None
    if not 200 <= reply.status < 300:
        raise _refusal(brand, reply)
    return reply


def _refusal(brand: str, reply: Reply) -> ToolError:
    try:
        said = complaint(reply.json())
    except ValueError:
        said = complaint(reply.text()) if "html" not in reply.headers.get("content-type", "") else ""
    words = f": {said}" if said else "."
    match reply.status:
        case 401:
            return ToolError(f"{brand} does not accept the credentials; it has to be connected anew (401){words}", "not_connected", 401)
        case 429:
            wait = reply.headers.get("retry-after", "")
            later = f"; again in {wait} s" if wait.isdigit() else ""
            return ToolError(f"{brand} has had too many requests{later} (429){words}", "unavailable", 429)
        case status if status >= 500:
            return ToolError(f"{brand} failed ({status}){words}", "unavailable", status)
        case status:
            return ToolError(f"{brand} refused ({status}){words}", "refused", status)


def parsed(brand: str, reply: Reply) -> Any:
    """The answer's JSON; None when it is empty. Raises ToolError for anything else."""
    if not reply.body.strip():
        return None
    try:
        return reply.json()
    except ValueError:
        raise ToolError(f"{brand} answered something that is not JSON.", "unavailable", reply.status) from None


def located(address: str) -> str:
    """The address with its origin changed as TOOL_ORIGINS says: a gateway, a vendor's product on one's own server, a stand-in."""
    parts = split(address)
    origin = settings.TOOL_ORIGINS.get(parts.netloc)
    return address.replace(f"{parts.scheme}://{parts.netloc}", origin.rstrip("/"), 1) if origin else address


def split(address: str) -> SplitResult:
    """Raises ToolError for what is no address."""
    try:
        return urlsplit(address)
    except ValueError:
        raise ToolError("That is not an address.", "invalid") from None


def encode(values: Mapping[str, Any]) -> str:
    """A query or form: lists repeat their name, booleans are lower-case words."""
    pairs = [(name, one) for name, value in values.items() for one in (value if isinstance(value, list) else [value])]
    words = [(name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in pairs]
    return urlencode(words, quote_via=quote)


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ToolError("There is no content to send.", "invalid")
    return value.encode()
