"""The pages inside sandboxed frames: open to everyone, able to do one thing each."""

from urllib.parse import quote

import pytest
from django.test import Client


def policy_of(client: Client, path: str) -> dict[str, str]:
    response = client.get(path)
    assert response.status_code == 200
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    assert response["Referrer-Policy"] == "no-referrer"
    assert not response.cookies
    parts = (part.strip().partition(" ") for part in response["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


def test_an_image_frame_may_load_images_of_that_host_and_nothing_else(client: Client) -> None:
    policy = policy_of(client, "/frame/image?u=" + quote("https://Images.example:8443/a.png?b=1&c"))
    assert policy == {
        "default-src": "'none'",
        "img-src": "https://images.example:8443",
        "style-src": "http://testserver/static/",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'self'",
        "sandbox": "",
    }


def test_a_diagram_frame_may_run_our_scripts_and_nothing_else(client: Client) -> None:
    policy = policy_of(client, "/frame/diagram")
    assert policy == {
        "default-src": "'none'",
        "script-src": "http://testserver/static/",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'self'",
        "sandbox": "allow-scripts",
    }


def test_the_address_of_an_image_stays_an_attribute(client: Client) -> None:
    response = client.get("/frame/image?u=" + quote("https://images.example/a?b=1&c=&quot;"))
    assert '<img src="https://images.example/a?b=1&amp;c=&amp;quot;"' in response.content.decode()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "javascript:alert(1)",
        "data:image/png;base64,AA",
        "//images.example/a",
        "https:///a",
        "https://user@images.example/a",
        "https://images.example;script-src *",
        "https://images.example, https://evil.example/a",
        "https://images.example' 'unsafe-inline'/a",
        "https://images.example\\@evil.example/a",
        "https://*.example/a",
        "https://*/a",
        "https://images.example/\r\nSet-Cookie: a=b",
        "https://bücher.example/a",
        "https://[::1/a",
        "ftp://images.example/a",
        "https://images.example/" + "a" * 2_000,
    ],
)
def test_an_address_that_could_widen_the_policy_is_refused(client: Client, address: str) -> None:
    response = client.get("/frame/image?u=" + quote(address))
    assert response.status_code == 400
    assert b"example" not in response.content


@pytest.mark.parametrize("path", ["/frame/image?u=https://images.example/a", "/frame/diagram"])
def test_frames_are_only_read(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
