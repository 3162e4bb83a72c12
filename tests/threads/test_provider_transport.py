"""The way to a provider: a server is spoken to when its certificate is known."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import web
from anthropic import AsyncAnthropic
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from openai import AsyncOpenAI

from threads.providers.transport import Keeper, Posts, Unreachable, made_by

SECONDS = 5.0


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a key and a certificate of localhost that nobody has signed."""
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    spelled = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path / "localhost.pem"
    path.write_bytes(spelled + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
async def address(certificate: Path) -> AsyncIterator[str]:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application()
    app.router.add_post("/{any:.*}", hello)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://localhost:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def sent(address: str) -> tuple[int, bytes]:
    posts = Posts(SECONDS)
    try:
        answer = await posts.send(await made_by(AsyncOpenAI, "/", api_key="sk-1", base_url=address), b"a secret")
        return answer.status_code, await answer.aread()
    finally:
        await posts.close()


async def test_a_server_with_an_unknown_certificate_is_told_nothing(address: str) -> None:
    with pytest.raises(Unreachable):
        await sent(address)


async def test_the_environment_names_further_certificates(address: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert await sent(address) == (200, b"a secret")


async def test_a_proxy_of_the_environment_is_used_but_for_hosts_it_excepts(
    address: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # where nobody listens
    with pytest.raises(Unreachable):
        await sent(address)
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert (await sent(address))[0] == 200


@pytest.mark.parametrize("sdk", [AsyncAnthropic, AsyncOpenAI])
async def test_the_request_is_the_one_that_the_sdk_makes(sdk: Any) -> None:
    """Header by header, but for the length of the body."""
    kept = Keeper()
    async with httpx2.AsyncClient(transport=kept) as http:
        client = sdk(api_key="sk-1", base_url="https://example.com/of/a/proxy", max_retries=0, timeout=None, http_client=http)
        await client.post("/v1/messages", cast_to=httpx2.Response, content=b"{}", options={"headers": {"content-type": "application/json"}})
    assert kept.request is not None
    wanted = dict(kept.request.headers)
    del wanted["content-length"]
    made = await made_by(sdk, "/v1/messages", api_key="sk-1", base_url="https://example.com/of/a/proxy")
    assert (str(made.url), dict(made.headers)) == ("https://example.com/of/a/proxy/v1/messages", wanted)
    assert "sk-1" in made.headers.get("authorization", "") + made.headers.get("x-api-key", "")
    assert "python" in made.headers["user-agent"].lower()
