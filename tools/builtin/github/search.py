"""Search issues, pull requests, repositories and code."""

from tools.answers import rows
from tools.builtin.github import GITHUB
from tools.schemas import choice, limit, takes, word
from tools.vendor import Call

TOOL = GITHUB.tool(
    "search",
    "Search GitHub",
    "Searches GitHub for issues and pull requests, repositories, or code, with GitHub's search qualifiers.",
    takes(
        "kind query",
        kind=choice("What to search; pull requests are among the issues.", "issues", "repositories", "code"),
        query=word("Such as: repo:octo/app is:open is:issue crash."),
        limit=limit(),
    ),
    Call(
        path="/search/{kind}",
        query={"q": "{query}", "per_page": "{limit}"},
        read=rows("items", "number title state full_name description path repository=repository.full_name author=user.login url=html_url"),
    ),
    writes=False,
)
