"""Merge requests of a project."""

from tools.answers import rows
from tools.builtin.gitlab import GITLAB, PROJECT
from tools.schemas import choice, limit, takes
from tools.vendor import Call

TOOL = GITLAB.tool(
    "list-merge-requests",
    "List merge requests",
    "Lists the merge requests of a GitLab project.",
    takes(
        "project",
        project=PROJECT,
        state=choice("Which ones.", "opened", "closed", "merged", "all", default="opened"),
        limit=limit(100, 20),
    ),
    Call(
        path="/projects/{project}/merge_requests",
        query={"state": "{state}", "per_page": "{limit}"},
        read=rows(
            "", "number=iid title state draft author=author.username branch=source_branch target=target_branch updated_at url=web_url"
        ),
    ),
    writes=False,
)
