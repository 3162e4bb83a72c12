"""The way to a provider: a server is spoken to when its certificate is known."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from threads.providers.transport import client

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
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_post("/", hello)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://localhost:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_a_server_with_an_unknown_certificate_is_told_nothing(address: str) -> None:
    async with client(SECONDS) as http:
        with pytest.raises(httpx2.ConnectError):
            await http.post(address, content=b"a secret")


async def test_the_environment_names_further_certificates(address: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with client(SECONDS) as http:
        answer = await http.post(address, content=b"hello")
    assert (answer.status_code, answer.text) == (200, "hello")


async def test_a_proxy_of_the_environment_is_used_but_for_hosts_it_excepts(
    address: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # where nobody listens
    async with client(SECONDS) as http:
        with pytest.raises(httpx2.ConnectError):
            await http.post(address)
    monkeypatch.setenv("NO_PROXY", "localhost")
    async with client(SECONDS) as http:
        assert (await http.post(address)).status_code == 200
