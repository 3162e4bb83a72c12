"""Make a task."""

from tools.answers import fields
from tools.builtin.todoist import TODOIST
from tools.schemas import takes, text, whole, word
from tools.vendor import Call

TOOL = TODOIST.tool(
    "create-task",
    "Create a task",
    "Creates a task in Todoist.",
    takes(
        "content",
        content=word("What is to be done."),
        description=text("More about it."),
        due_string=word("When, in words such as tomorrow at 12."),
        priority=whole("1 normal to 4 urgent.", 1, 4),
        project_id=word("Id of the project; the inbox without it."),
    ),
    Call(
        method="POST",
        path="/tasks",
        json={
            "content": "{content}",
            "description": "{description}",
            "due_string": "{due_string}",
            "priority": "{priority}",
            "project_id": "{project_id}",
        },
        read=fields("id content due=due.string priority"),
    ),
    writes=True,
)
