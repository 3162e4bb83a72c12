"""A file of a repository, as text."""

from tools.builtin.github import GITHUB, OWNER, REPO
from tools.schemas import takes, word
from tools.vendor import Call

TOOL = GITHUB.tool(
    "read-file",
    "Read a file",
    "Reads a text file of a GitHub repository.",
    takes(
        "owner repo path",
        owner=OWNER,
        repo=REPO,
        path=word("Path from the root of the repository."),
        ref=word("Branch, tag or commit; the default branch without it."),
    ),
    Call(
        path="/repos/{owner}/{repo}/contents/{+path}",
        query={"ref": "{ref}"},
        headers={"Accept": "application/vnd.github.raw+json"},
        answer="text",
    ),
    writes=False,
)
