"""Make a page under another."""

from collections.abc import Mapping
from typing import Any

from tools.answers import fields
from tools.builtin.notion import NOTION, paragraphs
from tools.schemas import takes, text, word
from tools.vendor import Call, Config


def _blocks(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    return {"blocks": paragraphs(arguments.get("text", ""))}


TOOL = NOTION.tool(
    "create-page",
    "Create a page",
    "Creates a page under another page in Notion.",
    takes("parent_id title", parent_id=word("Id of the page above it."), title=word("Its title."), text=text("One paragraph per line.")),
    Call(
        method="POST",
        path="/pages",
        json={
            "parent": {"page_id": "{parent_id}"},
            "properties": {"title": {"title": [{"text": {"content": "{title}"}}]}},
            "children": "{blocks}",
        },
        prepare=_blocks,
        read=fields("id url"),
    ),
    writes=True,
)
