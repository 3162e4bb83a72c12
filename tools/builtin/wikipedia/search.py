"""Find articles."""

from typing import Any

from tools.answers import at
from tools.builtin.wikipedia import LANGUAGE, WIKIPEDIA
from tools.page_text import to_markdown
from tools.schemas import limit, takes, word
from tools.vendor import Call


def _found(data: Any) -> list[dict[str, str]]:
    hits = at(data, ["query", "search"]) or []
    return [{"title": hit["title"], "snippet": to_markdown(hit.get("snippet", "")).text} for hit in hits]


TOOL = WIKIPEDIA.tool(
    "search",
    "Search Wikipedia",
    "Searches Wikipedia for articles.",
    takes("query", query=word("Words to look for."), language=LANGUAGE, limit=limit(20, 5)),
    Call(
        path="/w/api.php",
        query={"action": "query", "list": "search", "srsearch": "{query}", "srlimit": "{limit}", "format": "json", "formatversion": 2},
        read=_found,
    ),
    writes=False,
)
