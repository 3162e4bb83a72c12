"""What was said in a channel lately."""

from tools.answers import rows
from tools.builtin.discord import CHANNEL, DISCORD
from tools.schemas import limit, takes
from tools.vendor import Call

TOOL = DISCORD.tool(
    "read-channel",
    "Read a channel",
    "Reads the newest messages of a Discord channel.",
    takes("channel_id", channel_id=CHANNEL, limit=limit(100, 20)),
    Call(
        path="/channels/{channel_id}/messages",
        query={"limit": "{limit}"},
        read=rows("", "id author=author.username content timestamp"),
    ),
    writes=False,
)
