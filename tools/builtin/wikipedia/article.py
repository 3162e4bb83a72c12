"""The text of an article."""

from typing import Any

from tools.answers import at
from tools.builtin.wikipedia import LANGUAGE, WIKIPEDIA
from tools.schemas import flag, takes, word
from tools.values import ToolError
from tools.vendor import Call

MOST_CHARS = 40_000


def _text(data: Any) -> dict[str, str]:
    page: dict[str, Any] = next(iter(at(data, ["query", "pages"]) or []), {"missing": True})
    if page.get("missing"):
        raise ToolError("Wikipedia has no article of that title; wikipedia-search finds titles.", "invalid", 200)
    return {"title": page["title"], "url": page.get("fullurl", ""), "text": page.get("extract", "")[:MOST_CHARS]}


TOOL = WIKIPEDIA.tool(
    "article",
    "Read Wikipedia",
    "Gives the text of a Wikipedia article, or only its introduction.",
    takes("title", title=word("Title of the article."), language=LANGUAGE, intro_only=flag("Whether the introduction is enough.")),
    Call(
        path="/w/api.php",
        query={
            "action": "query",
            "prop": "extracts|info",
            "inprop": "url",
            "explaintext": 1,
            "exintro": "{intro}",
            "redirects": 1,
            "titles": "{title}",
            "format": "json",
            "formatversion": 2,
        },
        prepare=lambda arguments, config: {"intro": 1} if arguments["intro_only"] else {},
        read=_text,
    ),
    writes=False,
)
