"""Search issues."""

from tools.answers import rows
from tools.builtin.linear import LINEAR
from tools.schemas import limit, takes, word
from tools.vendor import Call

QUERY = (
    "query Search($term: String!, $first: Int) { searchIssues(term: $term, first: $first) "
    "{ nodes { identifier title url priorityLabel state { name } assignee { name } updatedAt } } }"
)

TOOL = LINEAR.tool(
    "search-issues",
    "Search issues",
    "Searches the issues (tickets) in Linear by words.",
    takes("query", query=word("Words to look for."), limit=limit()),
    Call(
        method="POST",
        path="/graphql",
        json={"query": QUERY, "variables": {"term": "{query}", "first": "{limit}"}},
        read=rows(
            "data.searchIssues.nodes",
            "identifier title state=state.name assignee=assignee.name priority=priorityLabel updated_at=updatedAt url",
        ),
    ),
    writes=False,
)
