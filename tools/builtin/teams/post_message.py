"""Post a card to the channel."""

from tools.builtin.teams import TEAMS
from tools.schemas import takes, text
from tools.vendor import Call

CARD = {
    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
    "type": "AdaptiveCard",
    "version": "1.4",
    "body": [
        {"type": "TextBlock", "text": "{title}", "size": "Medium", "weight": "Bolder", "wrap": True},
        {"type": "TextBlock", "text": "{text}", "wrap": True},
    ],
}

TOOL = TEAMS.tool(
    "post-message",
    "Post a message",
    "Posts a message to the Microsoft Teams channel that is connected.",
    takes("text", title=text("A line above it.", most=200, default=" "), text=text("The message, in Markdown.", least=1)),
    Call(
        method="POST",
        path="",
        json={"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": CARD}]},
        answer="text",
        read=lambda text: "Posted.",
    ),
    writes=True,
)
