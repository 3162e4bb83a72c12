"""Comment on an issue."""

from collections.abc import Mapping
from typing import Any

from tools.answers import fields
from tools.builtin.jira import JIRA, KEY, document
from tools.schemas import takes, text
from tools.vendor import Call, Config


def _body(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    return {"document": document(arguments["body"])}


TOOL = JIRA.tool(
    "comment",
    "Comment",
    "Writes a comment under a Jira issue.",
    takes("key body", key=KEY, body=text("The comment.", least=1)),
    Call(
        method="POST",
        path="/issue/{key}/comment",
        json={"body": "{document}"},
        prepare=_body,
        read=fields("id created author=author.displayName"),
    ),
    writes=True,
)
