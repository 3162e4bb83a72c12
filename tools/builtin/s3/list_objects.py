"""What is in the bucket."""

from typing import Any

from tools.builtin.s3 import request, tool
from tools.registry import Use
from tools.schemas import limit, takes, word
from tools.values import Outcome, ToolError
from tools.xml_tree import XmlError, parse


async def _run(arguments: dict[str, Any], use: Use) -> Outcome:
    query = {"list-type": 2, "max-keys": arguments.get("limit", 50), "prefix": arguments.get("prefix", "")}
    reply = await request(use, "GET", "", query=query)
    try:
        found = parse(reply.body).all("Contents")
    except XmlError:
        raise ToolError("S3 answered something that is not its XML.", "unavailable", reply.status) from None
    listed = [{"key": one.text("Key"), "size": int(one.text("Size") or 0), "modified": one.text("LastModified")} for one in found]
    return Outcome(listed, http_status=reply.status)


TOOL = tool(
    "list-objects",
    "List objects",
    "Lists objects in the S3 bucket that is connected.",
    takes(prefix=word("What their keys start with."), limit=limit(1000, 50)),
    _run,
    writes=False,
)
