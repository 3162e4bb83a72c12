"""The tasks of a list."""

from tools.answers import rows
from tools.builtin.clickup import CLICKUP
from tools.schemas import flag, takes, word
from tools.vendor import Call

TOOL = CLICKUP.tool(
    "list-tasks",
    "List tasks",
    "Lists the tasks on a ClickUp list.",
    takes("list_id", list_id=word("Id of the list."), include_closed=flag("Whether closed ones are wanted too.")),
    Call(
        path="/list/{list_id}/task",
        query={"include_closed": "{include_closed}"},
        read=rows("tasks", "id name status=status.status assignees=assignees.username due_date url"),
    ),
    writes=False,
)
