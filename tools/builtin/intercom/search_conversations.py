"""Conversations with a contact."""

from tools.answers import rows
from tools.builtin.intercom import INTERCOM
from tools.schemas import limit, takes, word
from tools.vendor import Call

TOOL = INTERCOM.tool(
    "search-conversations",
    "Search conversations",
    "Lists the conversations in Intercom with one contact.",
    takes("contact_id", contact_id=word("Id of the contact."), limit=limit(100)),
    Call(
        method="POST",
        path="/conversations/search",
        json={
            "query": {"field": "contact_ids", "operator": "=", "value": "{contact_id}"},
            "pagination": {"per_page": "{limit}"},
        },
        read=rows("conversations", "id state open priority title=source.subject body=source.body updated_at"),
    ),
    writes=False,
)
