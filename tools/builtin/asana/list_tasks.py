"""The tasks of a project."""

from tools.answers import rows
from tools.builtin.asana import ASANA
from tools.schemas import limit, takes, word
from tools.vendor import Call

TOOL = ASANA.tool(
    "list-tasks",
    "List tasks",
    "Lists the tasks of an Asana project.",
    takes("project", project=word("Gid of the project."), limit=limit(100, 20)),
    Call(
        path="/tasks",
        query={"project": "{project}", "limit": "{limit}", "opt_fields": "name,completed,due_on,assignee.name,permalink_url"},
        read=rows("data", "gid name completed due_on assignee=assignee.name url=permalink_url"),
    ),
    writes=False,
)
