"""Open an issue."""

from tools.answers import fields
from tools.builtin.github import GITHUB, OWNER, REPO
from tools.schemas import several, takes, text, word
from tools.vendor import Call

TOOL = GITHUB.tool(
    "create-issue",
    "Open an issue",
    "Opens an issue in a GitHub repository.",
    takes(
        "owner repo title",
        owner=OWNER,
        repo=REPO,
        title=word("Title of the issue."),
        body=text("What it is about, in Markdown."),
        labels=several("Names of labels that the repository has."),
        assignees=several("Logins of people to assign."),
    ),
    Call(
        method="POST",
        path="/repos/{owner}/{repo}/issues",
        json={"title": "{title}", "body": "{body}", "labels": "{labels}", "assignees": "{assignees}"},
        read=fields("number url=html_url title state"),
    ),
    writes=True,
)
