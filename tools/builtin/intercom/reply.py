"""Answer in a conversation."""

from tools.answers import fields
from tools.builtin.intercom import INTERCOM
from tools.schemas import choice, takes, text, word
from tools.vendor import Call

TOOL = INTERCOM.tool(
    "reply",
    "Reply",
    "Answers in an Intercom conversation, or leaves a note that only colleagues see.",
    takes(
        "conversation_id admin_id body",
        conversation_id=word("Id of the conversation."),
        admin_id=word("Id of the colleague in whose name."),
        body=text("The answer.", least=1),
        kind=choice("Who sees it.", "comment", "note", default="comment"),
    ),
    Call(
        method="POST",
        path="/conversations/{conversation_id}/reply",
        json={"message_type": "{kind}", "type": "admin", "admin_id": "{admin_id}", "body": "{body}"},
        read=fields("id state updated_at"),
    ),
    writes=True,
)
