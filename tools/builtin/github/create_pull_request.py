"""Open a pull request."""

from tools.answers import fields
from tools.builtin.github import GITHUB, OWNER, REPO
from tools.schemas import flag, takes, text, word
from tools.vendor import Call

TOOL = GITHUB.tool(
    "create-pull-request",
    "Open a pull request",
    "Opens a pull request of one branch against another in a GitHub repository.",
    takes(
        "owner repo title head base",
        owner=OWNER,
        repo=REPO,
        title=word("Title of the pull request."),
        head=word("The branch with the changes; user:branch from a fork."),
        base=word("The branch they are for."),
        body=text("What it does, in Markdown."),
        draft=flag("Whether it is a draft."),
    ),
    Call(
        method="POST",
        path="/repos/{owner}/{repo}/pulls",
        json={"title": "{title}", "head": "{head}", "base": "{base}", "body": "{body}", "draft": "{draft}"},
        read=fields("number url=html_url title state draft"),
    ),
    writes=True,
)
