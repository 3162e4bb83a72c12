"""A file as text: Google's documents are exported, text files are read as they are."""

import dataclasses
from typing import Any

from tools.builtin.google import DRIVE
from tools.registry import Use
from tools.schemas import takes, word
from tools.values import Outcome, ToolError
from tools.vendor import Call

ABOUT = Call(path="/files/{id}", query={"fields": "name,mimeType,size"})
EXPORT = Call(path="/files/{id}/export", query={"mimeType": "{type}"}, answer="text")
DOWNLOAD = Call(path="/files/{id}", query={"alt": "media"}, answer="text")
EXPORTS = {"document": "text/plain", "presentation": "text/plain", "spreadsheet": "text/csv"}
READABLE = ("text/", "application/json", "application/xml")


async def _run(arguments: dict[str, Any], use: Use) -> Outcome:
    about = (await DRIVE.perform(ABOUT, arguments, use.config)).output
    kind = str(about.get("mimeType", ""))
    if exported := EXPORTS.get(kind.removeprefix("application/vnd.google-apps.")):
        read = await DRIVE.perform(EXPORT, {**arguments, "type": exported}, use.config)
    elif kind.startswith(READABLE):
        read = await DRIVE.perform(DOWNLOAD, arguments, use.config)
    else:
        raise ToolError(f"{about.get('name', 'The file')} is of the type {kind}, which cannot be read as text.", "invalid")
    return Outcome({"name": about.get("name"), "text": read.output}, http_status=read.http_status)


TOOL = dataclasses.replace(
    DRIVE.tool(
        "read",
        "Read a file",
        "Reads a document, sheet, presentation or text file of Google Drive as text.",
        takes("id", id=word("Id of the file, as google-drive-search tells it.")),
        ABOUT,
        writes=False,
    ),
    run=_run,
)
