"""Find pages and databases by title."""

from tools.answers import rows
from tools.builtin.notion import NOTION
from tools.schemas import limit, takes, word
from tools.vendor import Call

TOOL = NOTION.tool(
    "search",
    "Search pages",
    "Searches titles of the Notion pages and databases that the integration may see.",
    takes("query", query=word("Words of the title."), limit=limit(100)),
    Call(
        method="POST",
        path="/search",
        json={"query": "{query}", "page_size": "{limit}"},
        read=rows("results", "id object url title=properties.title.title.plain_text name=title.plain_text edited=last_edited_time"),
    ),
    writes=False,
)
