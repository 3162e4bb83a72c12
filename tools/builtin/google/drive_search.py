"""Find files."""

from collections.abc import Mapping
from typing import Any

from tools.answers import rows
from tools.builtin.google import DRIVE
from tools.schemas import limit, takes, word
from tools.vendor import Call, Config


def _query(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    words = arguments["query"].replace("\\", "\\\\").replace("'", "\\'")
    return {"q": f"fullText contains '{words}' and trashed = false"}


TOOL = DRIVE.tool(
    "search",
    "Search files",
    "Searches names and contents of the files in Google Drive.",
    takes("query", query=word("Words to look for."), limit=limit(100)),
    Call(
        path="/files",
        query={"q": "{q}", "pageSize": "{limit}", "fields": "files(id,name,mimeType,modifiedTime,webViewLink)"},
        prepare=_query,
        read=rows("files", "id name type=mimeType modified=modifiedTime url=webViewLink"),
    ),
    writes=False,
)
