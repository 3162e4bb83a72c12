"""The teams that issues can be made for."""

from tools.answers import rows
from tools.builtin.linear import LINEAR
from tools.schemas import takes
from tools.vendor import Call

TOOL = LINEAR.tool(
    "list-teams",
    "List teams",
    "Lists the teams in Linear with their ids.",
    takes(),
    Call(
        method="POST",
        path="/graphql",
        json={"query": "query Teams { teams { nodes { id key name } } }"},
        read=rows("data.teams.nodes", "id key name"),
    ),
    writes=False,
)
