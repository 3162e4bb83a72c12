"""The text of a page."""

from typing import Any

from tools.answers import at
from tools.builtin.notion import NOTION, PAGE
from tools.schemas import takes
from tools.vendor import Call


def _text(data: Any) -> str:
    blocks = at(data, ["results"]) or []
    lines = ["".join(at(block, [block.get("type", ""), "rich_text", "plain_text"]) or []) for block in blocks]
    return "\n".join(line for line in lines if line)


TOOL = NOTION.tool(
    "read-page",
    "Read a page",
    "Reads the text of a Notion page (its first hundred blocks).",
    takes("page_id", page_id=PAGE),
    Call(path="/blocks/{page_id}/children", query={"page_size": 100}, read=_text),
    writes=False,
)
