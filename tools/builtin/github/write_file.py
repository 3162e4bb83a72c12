"""Make or change a file with a commit of its own."""

import base64
from collections.abc import Mapping
from typing import Any

from tools.answers import fields
from tools.builtin.github import GITHUB, OWNER, REPO
from tools.schemas import takes, text, word
from tools.vendor import Call, Config


def _encoded(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    return {"encoded": base64.b64encode(arguments["content"].encode()).decode()}


TOOL = GITHUB.tool(
    "write-file",
    "Write a file",
    "Makes or replaces a text file in a GitHub repository, as one commit.",
    takes(
        "owner repo path content message",
        owner=OWNER,
        repo=REPO,
        path=word("Path from the root of the repository."),
        content=text("All of the file.", most=100_000),
        message=word("The commit's message."),
        branch=word("The branch; the default one without it."),
        sha=word("The blob that is replaced; needed when the file exists."),
    ),
    Call(
        method="PUT",
        path="/repos/{owner}/{repo}/contents/{+path}",
        json={"message": "{message}", "content": "{encoded}", "branch": "{branch}", "sha": "{sha}"},
        prepare=_encoded,
        read=fields("path=content.path url=content.html_url sha=content.sha commit=commit.sha"),
    ),
    writes=True,
)
