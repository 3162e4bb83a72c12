"""Send a message as the bot."""

from tools.answers import fields
from tools.builtin.telegram import TELEGRAM
from tools.schemas import flag, takes, text, word
from tools.vendor import Call

TOOL = TELEGRAM.tool(
    "send-message",
    "Send a message",
    "Sends a Telegram message as the bot, to a chat that it is in.",
    takes(
        "chat_id text",
        chat_id=word("Id of the chat, or @name of a channel."),
        text=text("The message.", least=1, most=4096),
        silent=flag("Whether it makes no sound."),
    ),
    Call(
        method="POST",
        path="/sendMessage",
        json={"chat_id": "{chat_id}", "text": "{text}", "disable_notification": "{silent}"},
        read=fields("message_id=result.message_id chat=result.chat.id date=result.date"),
    ),
    writes=True,
)
