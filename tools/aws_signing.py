"""AWS Signature Version 4, as S3 wants it: paths encoded once, the body's hash among the headers."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Keys:
    id: str
    secret: str
    region: str
    service: str = "s3"


def signed(
    keys: Keys, method: str, address: str, query: str, content: bytes, now: dt.datetime, headers: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The headers to send, `headers` (lower-case names) among them. `query` is encoded and in order; the address has none."""
    parts = urlsplit(address)
    stamp, digest = f"{now:%Y%m%dT%H%M%SZ}", hashlib.sha256(content).hexdigest()
    sent = {**(headers or {}), "x-amz-content-sha256": digest, "x-amz-date": stamp}
    covered = {"host": parts.netloc, **sent}
    names = ";".join(sorted(covered))
    lines = "".join(f"{name}:{covered[name].strip()}\n" for name in sorted(covered))
    request = "\n".join((method, parts.path or "/", query, lines, names, digest))
    scope = f"{now:%Y%m%d}/{keys.region}/{keys.service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret}".encode()
    for piece in scope.split("/"):
        key = _mac(key, piece)
    signature = _mac(key, text).hex()
    return {**sent, "authorization": f"AWS4-HMAC-SHA256 Credential={keys.id}/{scope},SignedHeaders={names},Signature={signature}"}


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
