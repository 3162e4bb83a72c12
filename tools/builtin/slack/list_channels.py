"""The public channels."""

from tools.answers import rows
from tools.builtin.slack import SLACK
from tools.schemas import limit, takes
from tools.vendor import Call

TOOL = SLACK.tool(
    "list-channels",
    "List channels",
    "Lists Slack's public channels with their ids.",
    takes(limit=limit(200, 100)),
    Call(
        path="/conversations.list",
        query={"limit": "{limit}", "exclude_archived": True},
        read=rows("channels", "id name topic=topic.value members=num_members"),
    ),
    writes=False,
)
