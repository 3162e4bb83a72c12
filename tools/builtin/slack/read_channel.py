"""What was said in a channel lately."""

from tools.answers import rows
from tools.builtin.slack import SLACK
from tools.schemas import limit, takes, word
from tools.vendor import Call

TOOL = SLACK.tool(
    "read-channel",
    "Read a channel",
    "Reads the newest messages of a Slack channel that the bot is in.",
    takes("channel", channel=word("Id of the channel (C…)."), limit=limit(100, 20)),
    Call(
        path="/conversations.history",
        query={"channel": "{channel}", "limit": "{limit}"},
        read=rows("messages", "ts user text replies=reply_count"),
    ),
    writes=False,
)
