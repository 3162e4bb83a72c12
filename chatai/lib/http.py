"""The one way out: every request to an address that somebody else chose goes through here.

The address is resolved and checked where the connection is made, for every connection and every redirect; time, size after
decompression and type are limited. Model providers, Stripe and mail are addresses of the operator and have their own clients.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore2
import httpx2
import msgspec

from chatai.lib import egress
from chatai.lib.egress import EgressError as EgressError

AGENT = "chatai"
MOST_BYTES = 2_000_000  # of a body, decompressed
CONNECT_SECONDS = 10.0
TRIES = 3  # addresses of one name, one after another
# What may follow a redirect to another origin. An allow-list, because keys travel in headers of any name.
IMPERSONAL = frozenset({"accept", "accept-language", "user-agent"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, of whatever status."""

    status: int
    headers: httpx2.Headers
    body: bytes
    url: str  # where it came from in the end

    def text(self) -> str:
        """As the charset says, else UTF-8; what does not fit is replaced."""
        charset = httpx2.Response(self.status, headers=self.headers).charset_encoding or "utf-8"
        try:
            return self.body.decode(charset, "replace")
        except (LookupError, UnicodeError):
            return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Raises ValueError, in a sentence."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise ValueError(f"{httpx2.URL(self.url).host} did not answer with JSON.") from None


async def fetch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    content: bytes | None = None,
    seconds: float = 30.0,
    most_bytes: int = MOST_BYTES,
    types: tuple[str, ...] | None = None,
    redirects: int = 0,
) -> Reply:
    """One request and its whole answer, whatever the status. `seconds` is for all of it, redirects and look-ups included.

    With `types`, a 2xx answer of another content type is refused ("text/" stands for all of text). Redirects are followed up to
    `redirects` times, none by default: then the answer is the redirect itself. Raises EgressError.
    """
    sent = {"user-agent": AGENT, **{name.lower(): value for name, value in (headers or {}).items()}}
    if json is not None:
        content = msgspec.json.encode(json)
        sent.setdefault("content-type", "application/json")
    target = _url(url)
    if params:
        target = target.copy_merge_params(params)
    try:
        async with asyncio.timeout(seconds), GuardedTransport(most_bytes) as transport:
            for left in range(redirects, -1, -1):
                reply = await _once(transport, httpx2.Request(method, target, headers=sent, content=content), types)
                if not left or reply.status not in REDIRECTS or "location" not in reply.headers:
                    if redirects and reply.status in REDIRECTS:
                        raise EgressError("redirect", f"{target.host} redirects too often.")
                    return reply
                method, target, sent, content = _followed(method, target, reply, sent, content)
    except TimeoutError:
        raise EgressError("timeout", f"{target.host} did not answer within {seconds:g} seconds.") from None
    raise AssertionError("unreachable")


def check_url(text: str, *, https: bool = True) -> None:
    """Refuse an address that is given to be called later, when it could never be. Nothing is looked up; that is done at each call.

    With `https` no other scheme will do, except for hosts that the operator lists. Raises EgressError (forbidden).
    """
    url = _url(text)
    _check_form(url)
    if https and url.scheme != "https" and not egress.allowed_by_name(url.host):
        raise EgressError("forbidden", "The address must begin with https://.")
    egress.check_host(url.host)


def _check_form(url: httpx2.URL) -> None:
    if url.scheme not in ("http", "https") or not url.host:
        raise EgressError("forbidden", "Only http and https addresses can be fetched.")
    if url.port == 0:
        raise EgressError("forbidden", f"Port 0 of {url.host} may not be connected to.")
    if url.userinfo:
        raise EgressError("forbidden", "An address with a name or password in it is not fetched.")


async def _once(transport: GuardedTransport, request: httpx2.Request, types: tuple[str, ...] | None) -> Reply:
    response = await transport.handle_async_request(request)
    try:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if types and 200 <= response.status_code < 300 and not kind.startswith(types):
            raise EgressError("type", f"{request.url.host} answered {kind or 'without a content type'}, which is of no use here.")
        body = b"".join([piece async for piece in response.aiter_raw()])
    finally:
        await response.aclose()
    return Reply(response.status_code, response.headers, body, str(request.url))


def _followed(
    method: str, url: httpx2.URL, reply: Reply, headers: dict[str, str], content: bytes | None
) -> tuple[str, httpx2.URL, dict[str, str], bytes | None]:
    """The request that a redirect asks for. Nothing personal goes to another origin, and nothing from https to http."""
    try:
        target = url.join(reply.headers["location"])
    except (httpx2.InvalidURL, ValueError):
        raise EgressError("redirect", f"{url.host} redirects to something that is not an address.") from None
    if (reply.status == 303 and method != "HEAD") or (reply.status in (301, 302) and method == "POST"):
        method, content = "GET", None
        headers = {name: value for name, value in headers.items() if name != "content-type"}
    if url.scheme == "https" and target.scheme == "http":
        raise EgressError("redirect", f"{url.host} redirects to an address without encryption.")
    if (url.scheme, url.raw_host, _port(url)) != (target.scheme, target.raw_host, _port(target)):
        if content is not None:
            raise EgressError("redirect", f"{url.host} wants what was sent to go to another host.")
        headers = {name: value for name, value in headers.items() if name in IMPERSONAL}
    return method, target, headers, content


def _url(text: str) -> httpx2.URL:
    try:
        return httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError, TypeError):
        raise EgressError("forbidden", "This is not an address that can be fetched.") from None


def _port(url: httpx2.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Connects to checked addresses only and yields bodies decompressed, up to `most_bytes` each. Raises EgressError.

    Also for an SDK that brings an httpx2 client. It keeps connections; close it. Redirects are the client's affair: each hop is
    checked, but httpx2 drops only `Authorization` across origins, so clients with keys in other headers must not follow any.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._pool = httpcore2.AsyncConnectionPool(ssl_context=_tls(), network_backend=_CheckedNetwork(), max_connections=100)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        _check_form(url)
        request.headers["accept-encoding"] = "gzip, deflate"
        core = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_egress(url.host):
            response = await self._pool.handle_async_request(core)
        headers = httpx2.Headers(response.headers)
        encoding = headers.pop("content-encoding", "identity").strip().lower()
        if encoding != "identity":
            headers.pop("content-length", None)
        body = _Body(response, encoding, self._most_bytes, url.host)
        return httpx2.Response(response.status, headers=headers, stream=body, extensions=response.extensions)

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    """Decompressed piece by piece, so that a bomb is noticed before it is in memory."""

    def __init__(self, response: httpcore2.Response, encoding: str, most_bytes: int, host: str) -> None:
        self._response = response
        self._encoding = encoding
        self._most_bytes = most_bytes
        self._host = host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        unpack = _unpacker(self._encoding, self._host)
        seen = 0
        with _as_egress(self._host):
            async for packed in self._response.aiter_stream():
                for piece in unpack(packed):
                    seen += len(piece)
                    if seen > self._most_bytes:
                        raise EgressError("too_large", f"{self._host} answered with more than {self._most_bytes:,} bytes.")
                    yield piece

    async def aclose(self) -> None:
        with _as_egress(self._host):
            await self._response.aclose()


class _Unpacker:
    def __init__(self, host: str) -> None:
        self._host = host
        self._inner: Any = None

    def __call__(self, packed: bytes) -> Iterator[bytes]:
        try:
            if self._inner is None:
                # 47: gzip or zlib by its first bytes; some servers send deflate without zlib's frame
                framed = packed[:1] in (b"\x1f", b"\x78")
                self._inner = zlib.decompressobj(47 if framed else -zlib.MAX_WBITS)
            while packed and not self._inner.eof:
                yield self._inner.decompress(packed, PIECE)
                packed = self._inner.unconsumed_tail
        except zlib.error:
            raise EgressError("type", f"{self._host} answered with something that cannot be decompressed.") from None


def _unpacker(encoding: str, host: str) -> Any:
    if encoding in ("identity", ""):
        return lambda piece: (piece,)
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _Unpacker(host)
    raise EgressError("type", f"{host} answered in an encoding that was not asked for.")


class _CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to what `egress.addresses` gives for a name; TLS still checks the certificate against the name."""

    def __init__(self) -> None:
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        found = (await egress.addresses(host, port))[:TRIES]
        for address in found[:-1]:
            try:
                return await self._network.connect_tcp(address, port, min(timeout or CONNECT_SECONDS, 3.0), local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._network.connect_tcp(found[-1], port, timeout or CONNECT_SECONDS, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


@contextmanager
def _as_egress(host: str) -> Iterator[None]:
    try:
        yield
    except httpcore2.TimeoutException:
        raise EgressError("timeout", f"{host} did not answer in time.") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, ssl.SSLError, OSError) as error:
        raise EgressError("network", f"{host} could not be reached ({type(error).__name__}).") from None


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context()
