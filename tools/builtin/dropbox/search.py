"""Find files."""

from tools.answers import rows
from tools.builtin.dropbox import DROPBOX
from tools.schemas import limit, takes, word
from tools.vendor import Call

TOOL = DROPBOX.tool(
    "search",
    "Search files",
    "Searches names and contents of the files in Dropbox.",
    takes("query", query=word("Words to look for."), limit=limit(100)),
    Call(
        method="POST",
        path="/files/search_v2",
        json={"query": "{query}", "options": {"max_results": "{limit}"}},
        read=rows(
            "matches",
            "name=metadata.metadata.name path=metadata.metadata.path_display size=metadata.metadata.size "
            "modified=metadata.metadata.server_modified",
        ),
    ),
    writes=False,
)
