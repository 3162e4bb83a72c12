"""Post to a channel."""

from tools.answers import fields
from tools.builtin.slack import CHANNEL, SLACK
from tools.schemas import takes, text, word
from tools.vendor import Call

TOOL = SLACK.tool(
    "post-message",
    "Post a message",
    "Posts a message to a Slack channel or thread.",
    takes(
        "channel text",
        channel=CHANNEL,
        text=text("The message, in Slack's mrkdwn.", least=1),
        thread_ts=word("The ts of the message to answer in its thread."),
    ),
    Call(
        method="POST",
        path="/chat.postMessage",
        headers={"Content-Type": "application/json; charset=utf-8"},
        json={"channel": "{channel}", "text": "{text}", "thread_ts": "{thread_ts}"},
        read=fields("channel ts"),
    ),
    writes=True,
)
