"""aiohttp under the SDKs' clients: it costs far less per chunk than what they bring, and gives up nothing that has arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2

MAX_CONNECTIONS = 10_000  # per adapter; turns are limited elsewhere


def client(connect_timeout: float) -> httpx2.AsyncClient:
    """What an SDK is given as its `http_client`; limits after the connect are the adapters' own."""
    return httpx2.AsyncClient(transport=AioTransport(connect_timeout), timeout=None, follow_redirects=True)


class AioTransport(httpx2.AsyncBaseTransport):
    """One pool of connections, on the loop that uses it first. Proxies are those of the environment, as with the SDKs' own clients."""

    def __init__(self, connect_timeout: float) -> None:
        self.certificates = httpx2.create_ssl_context()  # those of the SDKs' own clients: not every Python finds the system's
        self.timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        self.session: aiohttp.ClientSession | None = None
        self.proxies: dict[str, str | None] = {}  # by host

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.session is None:
            connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=self.certificates)
            self.session = aiohttp.ClientSession(
                connector=connector, timeout=self.timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            answer = await self.session.request(
                request.method,
                str(request.url),
                headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
                data=await request.aread() or None,
                allow_redirects=False,
                proxy=self._proxy(request.url),
            )
        except aiohttp.ConnectionTimeoutError as error:
            raise httpx2.ConnectTimeout(str(error)) from error
        except aiohttp.ClientConnectionError as error:
            raise httpx2.ConnectError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise httpx2.ReadError(str(error)) from error
        return httpx2.Response(answer.status, headers=answer.raw_headers, stream=Chunks(answer), request=request)

    def _proxy(self, url: httpx2.URL) -> str | None:
        """As the environment says. Asked once for each host: aiohttp itself would ask for each request, in a thread."""
        if url.host not in self.proxies:
            self.proxies[url.host] = None if proxy_bypass(url.host) else getproxies().get(url.scheme)
        return self.proxies[url.host]

    async def aclose(self) -> None:
        if self.session is not None:
            await self.session.close()


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
