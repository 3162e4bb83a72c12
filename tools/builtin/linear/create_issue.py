"""Open an issue."""

from tools.answers import fields
from tools.builtin.linear import LINEAR
from tools.schemas import takes, text, whole, word
from tools.vendor import Call

MUTATION = "mutation Create($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { id identifier title url } } }"

TOOL = LINEAR.tool(
    "create-issue",
    "Create an issue",
    "Creates an issue (a ticket) in Linear. linear-list-teams tells the teams.",
    takes(
        "team_id title",
        team_id=word("Id of the team."),
        title=word("Title of the issue."),
        description=text("What it is about, in Markdown."),
        priority=whole("0 none, 1 urgent, 2 high, 3 medium, 4 low.", 0, 4),
        assignee_id=word("Id of whoever is to do it."),
    ),
    Call(
        method="POST",
        path="/graphql",
        json={
            "query": MUTATION,
            "variables": {
                "input": {
                    "teamId": "{team_id}",
                    "title": "{title}",
                    "description": "{description}",
                    "priority": "{priority}",
                    "assigneeId": "{assignee_id}",
                }
            },
        },
        read=fields(
            "identifier=data.issueCreate.issue.identifier title=data.issueCreate.issue.title "
            "url=data.issueCreate.issue.url id=data.issueCreate.issue.id"
        ),
    ),
    writes=True,
)
