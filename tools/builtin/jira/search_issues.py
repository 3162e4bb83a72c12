"""Search with JQL."""

from tools.answers import rows
from tools.builtin.jira import JIRA
from tools.schemas import limit, takes, text
from tools.vendor import Call

TOOL = JIRA.tool(
    "search-issues",
    "Search issues",
    "Searches Jira issues with JQL.",
    takes("jql", jql=text("Such as: project = APP AND status != Done ORDER BY updated DESC.", least=1, most=2000), limit=limit(100, 20)),
    Call(
        path="/search/jql",
        query={"jql": "{jql}", "maxResults": "{limit}", "fields": "summary,status,assignee,priority,updated"},
        read=rows(
            "issues",
            "key summary=fields.summary status=fields.status.name assignee=fields.assignee.displayName "
            "priority=fields.priority.name updated=fields.updated",
        ),
    ),
    writes=False,
)
