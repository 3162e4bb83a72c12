"""Find mail."""

from collections.abc import Mapping
from typing import Any

from tools.answers import rows
from tools.builtin.outlook import OUTLOOK
from tools.schemas import limit, takes, word
from tools.vendor import Call, Config


def _quoted(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    words = arguments["query"].replace('"', " ")
    return {"search": f'"{words}"'}


TOOL = OUTLOOK.tool(
    "search-mail",
    "Search mail",
    "Searches the mail in Outlook and tells sender, subject, date and the first words.",
    takes("query", query=word("Words, or such as from:ada subject:invoice."), limit=limit(50)),
    Call(
        path="/messages",
        query={"$search": "{search}", "$top": "{limit}", "$select": "id,subject,from,receivedDateTime,bodyPreview,webLink"},
        prepare=_quoted,
        read=rows("value", "id subject sender=from.emailAddress.address received=receivedDateTime preview=bodyPreview url=webLink"),
    ),
    writes=False,
)
