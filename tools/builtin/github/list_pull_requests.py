"""The pull requests of a repository."""

from tools.answers import rows
from tools.builtin.github import GITHUB, OWNER, REPO
from tools.schemas import choice, limit, takes
from tools.vendor import Call

TOOL = GITHUB.tool(
    "list-pull-requests",
    "List pull requests",
    "Lists pull requests of a GitHub repository, newest first.",
    takes("owner repo", owner=OWNER, repo=REPO, state=choice("Which ones.", "open", "closed", "all", default="open"), limit=limit(100, 20)),
    Call(
        path="/repos/{owner}/{repo}/pulls",
        query={"state": "{state}", "per_page": "{limit}"},
        read=rows("", "number title state draft author=user.login branch=head.ref base=base.ref updated_at url=html_url"),
    ),
    writes=False,
)
