"""Issues of a project."""

from tools.answers import rows
from tools.builtin.gitlab import GITLAB, PROJECT
from tools.schemas import choice, limit, takes, word
from tools.vendor import Call

TOOL = GITLAB.tool(
    "search-issues",
    "Search issues",
    "Lists or searches the issues of a GitLab project.",
    takes(
        "project",
        project=PROJECT,
        search=word("Words in title or description."),
        state=choice("Which ones.", "opened", "closed", "all", default="opened"),
        limit=limit(100, 20),
    ),
    Call(
        path="/projects/{project}/issues",
        query={"search": "{search}", "state": "{state}", "per_page": "{limit}"},
        read=rows("", "number=iid title state author=author.username assignees=assignees.username labels updated_at url=web_url"),
    ),
    writes=False,
)
