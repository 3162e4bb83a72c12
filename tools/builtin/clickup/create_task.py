"""Make a task."""

from tools.answers import fields
from tools.builtin.clickup import CLICKUP
from tools.schemas import takes, text, whole, word
from tools.vendor import Call

TOOL = CLICKUP.tool(
    "create-task",
    "Create a task",
    "Creates a task on a ClickUp list.",
    takes(
        "list_id name",
        list_id=word("Id of the list."),
        name=word("What is to be done."),
        description=text("More about it, in Markdown."),
        priority=whole("1 urgent, 2 high, 3 normal, 4 low.", 1, 4),
    ),
    Call(
        method="POST",
        path="/list/{list_id}/task",
        json={"name": "{name}", "markdown_content": "{description}", "priority": "{priority}"},
        read=fields("id name status=status.status url"),
    ),
    writes=True,
)
