"""Make or replace a text file."""

from collections.abc import Mapping
from typing import Any

from tools.answers import fields
from tools.builtin.dropbox import CONTENT, DROPBOX, PATH, in_header
from tools.schemas import flag, takes, text
from tools.vendor import Call, Config


def _argument(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    mode = "overwrite" if arguments["replace"] else "add"
    return {"argument": in_header({"path": arguments["path"], "mode": mode, "autorename": not arguments["replace"]})}


TOOL = DROPBOX.tool(
    "write",
    "Write a file",
    "Puts a text file into Dropbox.",
    takes(
        "path content",
        path=PATH,
        content=text("All of the file.", most=100_000),
        replace=flag("Whether a file of that name is replaced; without it the new one gets another name."),
    ),
    Call(
        method="POST",
        path=f"{CONTENT}/files/upload",
        headers={"Dropbox-API-Arg": "{argument}", "Content-Type": "application/octet-stream"},
        content="{content}",
        prepare=_argument,
        read=fields("name path=path_display size"),
    ),
    writes=True,
)
