"""S3: the signature against AWS's own examples, the calls against a stand-in."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Any

import pytest
from pytest_django import Settings

from tests.tools.catalogue.vendor import Answer, Vendor
from tools.aws_signing import Keys, signed
from tools.registry import Use, as_outcome, builtin
from tools.values import Caller, Outcome, ToolError

KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
WHEN = dt.datetime(2013, 5, 24, tzinfo=dt.UTC)
HOST = "https://examplebucket.s3.amazonaws.com"
CONFIG = {
    "bucket": "acme",
    "region": "eu-central-1",
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "secret_access_key": "canary-secret-access-key",
}
LISTING = """<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>acme</Name>
<Contents><Key>a &amp; b.txt</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>3</Size></Contents></ListBucketResult>"""
XML = {"content-type": "application/xml"}


@pytest.mark.parametrize(
    ("method", "path", "query", "content", "headers", "signature"),
    [
        ("GET", "/test.txt", "", b"", {"range": "bytes=0-9"}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        (
            "PUT",
            "/test%24file.text",
            "",
            b"Welcome to Amazon S3.",
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        ("GET", "/", "lifecycle=", b"", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("GET", "/", "max-keys=2&prefix=J", b"", {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_requests_are_signed_as_in_awss_examples(
    method: str, path: str, query: str, content: bytes, headers: dict[str, str], signature: str
) -> None:
    sent = signed(KEYS, method, HOST + path, query, content, WHEN, headers)
    assert sent["authorization"].endswith(f"Signature={signature}")


@pytest.fixture(autouse=True)
def there(vendor: Vendor, settings: Settings) -> None:
    settings.TOOL_ORIGINS = vendor.origins("s3.eu-central-1.amazonaws.com", "storage.example.com")


async def run(slug: str, config: dict[str, Any] = CONFIG, /, **arguments: str) -> Outcome:
    one = builtin(slug)
    assert one is not None
    return as_outcome(await one.run(arguments, Use(Caller(uuid.uuid4()), config)))


async def test_objects_are_listed_read_and_written(vendor: Vendor) -> None:
    vendor.answers(Answer(LISTING, headers=XML), Answer("text äöü"), Answer(None))
    listed = await run("s3-list-objects", prefix="a b/")
    assert listed.output == [{"key": "a & b.txt", "size": 3, "modified": "2026-01-01T00:00:00.000Z"}]
    assert (await run("s3-read-object", key="a b/ü.txt")).output == "text äöü"
    assert (await run("s3-write-object", key="new.txt", content="hällo")).output == "Stored new.txt (6 bytes)."
    first, second, third = vendor.asked
    assert first.line == "GET https://s3.eu-central-1.amazonaws.com/acme/"
    assert sorted(first.query) == [("list-type", "2"), ("max-keys", "50"), ("prefix", "a b/")]
    assert second.line == "GET https://s3.eu-central-1.amazonaws.com/acme/a%20b/%C3%BC.txt"
    assert (third.line, third.body) == ("PUT https://s3.eu-central-1.amazonaws.com/acme/new.txt", "hällo".encode())
    for asked in vendor.asked:
        credential = r"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/\d{8}/eu-central-1/s3/aws4_request,"
        assert re.match(
            credential + r"SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=[0-9a-f]{64}$", asked.headers["authorization"]
        )
        when = dt.datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
        # What was signed is what arrived: the vendor computes the same signature from it.
        query = "&".join(f"{name}={value.replace(' ', '%20').replace('/', '%2F')}" for name, value in sorted(asked.query))
        address = f"http://{asked.headers['host']}/{asked.host}{asked.path}"
        keys = Keys(CONFIG["access_key_id"], CONFIG["secret_access_key"], CONFIG["region"])
        assert signed(keys, asked.method, address, query, asked.body, when)["authorization"] == asked.headers["authorization"]


async def test_another_service_that_speaks_s3_is_found_at_its_address(vendor: Vendor) -> None:
    vendor.answers(Answer("x"))
    await run("s3-read-object", {**CONFIG, "endpoint": "https://storage.example.com/"}, key="k")
    assert vendor.asked[0].line == "GET https://storage.example.com/acme/k"


async def test_refusals_are_told_without_the_secret(vendor: Vendor) -> None:
    said = "<Error><Code>AccessDenied</Code><Message>canary-secret-access-key may not</Message></Error>"
    given: tuple[tuple[str, dict[str, str]], ...] = (
        ("s3-list-objects", {}),
        ("s3-read-object", {"key": "k"}),
        ("s3-write-object", {"key": "k", "content": ""}),
    )
    for slug, arguments in given:
        vendor.answers(Answer(said, 403, XML))
        with pytest.raises(ToolError, match="AccessDenied") as caught:
            await run(slug, **arguments)
        assert (caught.value.kind, caught.value.http_status) == ("refused", 403)
        assert "canary" not in caught.value.message
        with pytest.raises(ToolError) as caught:
            await run(slug, {}, **arguments)
        assert caught.value.kind == "not_connected"


async def test_a_key_stays_in_its_bucket_and_bytes_are_not_text(vendor: Vendor) -> None:
    for key in ("../other/k", "a/../../k", "."):
        with pytest.raises(ToolError, match="piece of its path"):
            await run("s3-read-object", key=key)
    assert vendor.asked == []
    vendor.answers(Answer(b"\xff\xfe\x00"))
    with pytest.raises(ToolError, match="is not text"):
        await run("s3-read-object", key="picture.png")
