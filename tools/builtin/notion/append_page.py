"""Write at the end of a page."""

from collections.abc import Mapping
from typing import Any

from tools.answers import rows
from tools.builtin.notion import NOTION, PAGE, paragraphs
from tools.schemas import takes, text
from tools.vendor import Call, Config


def _blocks(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    return {"blocks": paragraphs(arguments["text"])}


TOOL = NOTION.tool(
    "append-page",
    "Append to a page",
    "Writes paragraphs at the end of a Notion page.",
    takes("page_id text", page_id=PAGE, text=text("One paragraph per line.", least=1)),
    Call(
        method="PATCH", path="/blocks/{page_id}/children", json={"children": "{blocks}"}, prepare=_blocks, read=rows("results", "id type")
    ),
    writes=True,
)
