"""Make a task."""

from tools.answers import fields
from tools.builtin.asana import ASANA
from tools.schemas import takes, text, word
from tools.vendor import Call

TOOL = ASANA.tool(
    "create-task",
    "Create a task",
    "Creates a task in an Asana project.",
    takes(
        "project name",
        project=word("Gid of the project."),
        name=word("What is to be done."),
        notes=text("More about it."),
        assignee=word("Gid or address of whoever is to do it, or me."),
        due_on=word("Such as 2026-03-31."),
    ),
    Call(
        method="POST",
        path="/tasks",
        json={"data": {"name": "{name}", "notes": "{notes}", "projects": ["{project}"], "assignee": "{assignee}", "due_on": "{due_on}"}},
        read=fields("gid=data.gid name=data.name url=data.permalink_url"),
    ),
    writes=True,
)
