"""Open an issue."""

from tools.answers import fields
from tools.builtin.gitlab import GITLAB, PROJECT
from tools.schemas import takes, text, word
from tools.vendor import Call

TOOL = GITLAB.tool(
    "create-issue",
    "Open an issue",
    "Opens an issue in a GitLab project.",
    takes(
        "project title",
        project=PROJECT,
        title=word("Title of the issue."),
        description=text("What it is about, in Markdown."),
        labels=word("Names of labels, with commas between."),
        due_date=word("Such as 2026-03-31."),
    ),
    Call(
        method="POST",
        path="/projects/{project}/issues",
        json={"title": "{title}", "description": "{description}", "labels": "{labels}", "due_date": "{due_date}"},
        read=fields("number=iid url=web_url title state"),
    ),
    writes=True,
)
