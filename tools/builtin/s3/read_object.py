"""An object as text."""

from typing import Any

from tools.builtin.s3 import KEY, request, tool
from tools.registry import Use
from tools.schemas import takes
from tools.values import Outcome, ToolError


async def _run(arguments: dict[str, Any], use: Use) -> Outcome:
    reply = await request(use, "GET", arguments["key"])
    try:
        return Outcome(reply.body.decode(), http_status=reply.status)
    except UnicodeDecodeError:
        raise ToolError(f"{arguments['key']} is not text.", "invalid", reply.status) from None


TOOL = tool(
    "read-object", "Read an object", "Reads a text object of the S3 bucket that is connected.", takes("key", key=KEY), _run, writes=False
)
