"""Put an object."""

from typing import Any

from tools.builtin.s3 import KEY, request, tool
from tools.registry import Use
from tools.schemas import takes, text
from tools.values import Outcome


async def _run(arguments: dict[str, Any], use: Use) -> Outcome:
    content = arguments["content"].encode()
    reply = await request(use, "PUT", arguments["key"], content=content)
    return Outcome(f"Stored {arguments['key']} ({len(content):,} bytes).", http_status=reply.status)


TOOL = tool(
    "write-object",
    "Write an object",
    "Puts a text object into the S3 bucket that is connected; one of that key is replaced.",
    takes("key content", key=KEY, content=text("All of it.", most=100_000)),
    _run,
    writes=True,
)
