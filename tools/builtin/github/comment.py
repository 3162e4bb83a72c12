"""Comment on an issue or a pull request."""

from tools.answers import fields
from tools.builtin.github import GITHUB, NUMBER, OWNER, REPO
from tools.schemas import takes, text
from tools.vendor import Call

TOOL = GITHUB.tool(
    "comment",
    "Comment",
    "Writes a comment under a GitHub issue or pull request.",
    takes("owner repo number body", owner=OWNER, repo=REPO, number=NUMBER, body=text("The comment, in Markdown.", least=1)),
    Call(
        method="POST",
        path="/repos/{owner}/{repo}/issues/{number}/comments",
        json={"body": "{body}"},
        read=fields("id url=html_url"),
    ),
    writes=True,
)
