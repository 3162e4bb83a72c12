"""Find a contact by address."""

from tools.answers import rows
from tools.builtin.intercom import INTERCOM
from tools.schemas import takes, word
from tools.vendor import Call

TOOL = INTERCOM.tool(
    "find-contact",
    "Find a contact",
    "Finds the contacts in Intercom that have an e-mail address.",
    takes("email", email=word("The address.")),
    Call(
        method="POST",
        path="/contacts/search",
        json={"query": {"field": "email", "operator": "=", "value": "{email}"}},
        read=rows("data", "id role name email phone last_seen_at"),
    ),
    writes=False,
)
