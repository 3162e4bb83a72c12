"""S3 and what speaks like it: requests signed with AWS Signature Version 4."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from chatai.lib.http import Reply
from tools.aws_signing import Keys, signed
from tools.redaction import redact
from tools.registry import Builtin, Run, Use
from tools.schemas import defaults, secret, takes, word
from tools.values import JsonSchema, ToolError
from tools.vendor import encode, located, send

CONFIG = takes(
    "bucket region access_key_id secret_access_key",
    bucket=word("Name of the bucket.", pattern="^[A-Za-z0-9.-]+$"),
    region=word("Its region, such as eu-central-1.", pattern="^[a-z0-9-]+$"),
    access_key_id=word("The access key's id."),
    secret_access_key=secret("The secret access key."),
    endpoint=word("Address of another service that speaks like S3.", pattern="^https?://"),
)
KEY = word("Key of the object, such as reports/march.txt.")


async def request(use: Use, method: str, key: str, *, query: Mapping[str, Any] | None = None, content: bytes = b"") -> Reply:
    """Raises ToolError."""
    config = {**defaults(CONFIG), **use.config}
    if not config.get("secret_access_key"):
        raise ToolError("S3 is not connected.", "not_connected")
    if any(piece in (".", "..") for piece in key.split("/")):
        raise ToolError("key may not have . or .. as a piece of its path.", "invalid")
    base = located(config.get("endpoint") or f"https://s3.{config['region']}.amazonaws.com").rstrip("/")
    address = f"{base}/{config['bucket']}/{quote(key, safe='/')}"
    keys = Keys(config["access_key_id"], config["secret_access_key"], config["region"])
    asked = encode(dict(sorted((query or {}).items())))
    headers = signed(keys, method, address, asked, content, dt.datetime.now(dt.UTC))
    try:
        return await send("S3", method, f"{address}?{asked}" if asked else address, headers=headers, content=content or None)
    except ToolError as error:
        raise ToolError(redact(error.message, [keys.secret]), error.kind, error.http_status) from None


def tool(action: str, name: str, description: str, inputs: JsonSchema, run: Run, *, writes: bool) -> Builtin:
    return Builtin(
        slug=f"s3-{action}",
        display_name=name,
        description=description,
        brand="Amazon S3",
        input_schema=inputs,
        run=run,
        config_schema=CONFIG,
        auth_mode="either",
        writes=writes,
        repeatable=not writes,
        connection="s3",
    )
