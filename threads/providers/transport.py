"""The way to a provider: what the official SDK would send, by aiohttp, which costs far less per chunk and loses nothing that has arrived.

The SDK makes the request once for each key; from then on only the body is another. Making it anew each time took half of the time
between the claim of a turn and the first byte of its request: 0.6 ms after a pause.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
import msgspec
from multidict import CIMultiDict
from yarl import URL

MAX_CONNECTIONS = 10_000  # per adapter; turns are limited elsewhere
JSON = {"content-type": "application/json"}
OF_THE_BODY = ("content-length", "transfer-encoding")


class Refused(Exception):  # noqa: N818 - the server's word, not a fault of ours
    """An answer that is no success."""

    def __init__(self, status: int, headers: Mapping[str, str], body: object) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body  # as JSON if that is what it is


class Unreachable(Exception):  # noqa: N818 - as above
    """Nothing was answered."""


class Made(NamedTuple):
    """A POST without its body."""

    url: URL
    headers: CIMultiDict[str]
    proxy: str | None


class Posts:
    """One pool of connections, on the loop that uses it first. Proxies are those of the environment, as with the SDKs' own clients."""

    def __init__(self, connect_timeout: float) -> None:
        self.certificates = httpx2.create_ssl_context()  # those of the SDKs' own clients: not every Python finds the system's
        self.timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        self.session: aiohttp.ClientSession | None = None

    async def send(self, made: Made, body: bytes) -> httpx2.Response:
        """The answer, its body still to be read. Raises httpx2.ConnectTimeout, Unreachable or Refused; other limits are the caller's."""
        if self.session is None:
            connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=self.certificates)
            self.session = aiohttp.ClientSession(
                connector=connector, timeout=self.timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            answer = await self.session.post(made.url, headers=made.headers, data=body, proxy=made.proxy)
        except aiohttp.ConnectionTimeoutError as error:
            raise httpx2.ConnectTimeout(str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(type(error).__name__) from error
        response = httpx2.Response(answer.status, headers=answer.raw_headers, stream=Chunks(answer))
        if not response.is_success:
            raise Refused(response.status_code, response.headers, await _complaint(response))
        return response

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()


async def made_by(sdk: Callable[..., Any], path: str, *, api_key: str, base_url: str) -> Made:
    """What a client of the SDK posts to `path`: the address, the key and whatever else it tells about itself."""
    keeper = Keeper()
    async with httpx2.AsyncClient(transport=keeper) as http:
        client = sdk(api_key=api_key, base_url=base_url, max_retries=0, timeout=None, http_client=http)
        await client.post(path, cast_to=httpx2.Response, content=b"{}", options={"headers": JSON})
    request = keeper.request
    assert request is not None
    headers = CIMultiDict((name, value) for name, value in request.headers.items() if name not in OF_THE_BODY)
    # Asked once: aiohttp itself would ask for each request, in a thread.
    proxy = None if proxy_bypass(request.url.host) else getproxies().get(request.url.scheme)
    return Made(URL(str(request.url), encoded=True), headers, proxy)


class Keeper(httpx2.AsyncBaseTransport):
    """Sends nothing."""

    request: httpx2.Request | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.request = request
        return httpx2.Response(200, json={})


async def _complaint(response: httpx2.Response) -> object:
    try:
        body = await response.aread()
    except httpx2.HTTPError:
        return ""  # the status says enough
    finally:
        await response.aclose()
    try:
        return msgspec.json.decode(body)
    except ValueError:
        return body.decode(errors="replace")


class Chunks(httpx2.AsyncByteStream):
    """Everything that has arrived, each time somebody asks."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self.answer.content
        try:
            while chunk := await content.readany():
                yield chunk
        except aiohttp.ClientError as error:
            # A connection that broke takes nothing back: what nobody had asked for yet still waits behind its error.
            content.set_exception(None)  # type: ignore[arg-type]
            if rest := content.read_nowait():
                yield rest
            raise httpx2.ReadError(str(error)) from error

    async def aclose(self) -> None:
        self.answer.close()
