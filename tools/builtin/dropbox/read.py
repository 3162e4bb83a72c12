"""A text file."""

from collections.abc import Mapping
from typing import Any

from tools.builtin.dropbox import CONTENT, DROPBOX, PATH, in_header
from tools.schemas import takes
from tools.vendor import Call, Config


def _argument(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    return {"argument": in_header({"path": arguments["path"]})}


TOOL = DROPBOX.tool(
    "read",
    "Read a file",
    "Reads a text file in Dropbox.",
    takes("path", path=PATH),
    Call(method="POST", path=f"{CONTENT}/files/download", headers={"Dropbox-API-Arg": "{argument}"}, prepare=_argument, answer="text"),
    writes=False,
)
