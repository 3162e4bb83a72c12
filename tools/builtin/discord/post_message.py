"""Post to a channel."""

from tools.answers import fields
from tools.builtin.discord import CHANNEL, DISCORD
from tools.schemas import takes, text
from tools.vendor import Call

TOOL = DISCORD.tool(
    "post-message",
    "Post a message",
    "Posts a message to a Discord channel. It notifies nobody by @everyone or roles.",
    takes("channel_id content", channel_id=CHANNEL, content=text("The message, in Markdown.", least=1, most=2000)),
    Call(
        method="POST",
        path="/channels/{channel_id}/messages",
        json={"content": "{content}", "allowed_mentions": {"parse": ["users"]}},
        read=fields("id channel_id timestamp"),
    ),
    writes=True,
)
