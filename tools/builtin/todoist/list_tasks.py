"""Open tasks that fit a filter."""

from tools.answers import rows
from tools.builtin.todoist import TODOIST
from tools.schemas import limit, takes, word
from tools.vendor import Call

TOOL = TODOIST.tool(
    "list-tasks",
    "List tasks",
    "Lists the open tasks in Todoist that fit one of its filters.",
    takes("filter", filter=word("Such as today, overdue, or #Work & p1."), limit=limit(100, 20)),
    Call(
        path="/tasks/filter",
        query={"query": "{filter}", "limit": "{limit}"},
        read=rows("results", "id content description due=due.date priority project_id"),
    ),
    writes=False,
)
