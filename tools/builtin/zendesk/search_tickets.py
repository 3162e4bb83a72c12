"""Find tickets."""

from tools.answers import rows
from tools.builtin.zendesk import ZENDESK
from tools.schemas import limit, takes, word
from tools.vendor import Call

TOOL = ZENDESK.tool(
    "search-tickets",
    "Search tickets",
    "Searches the tickets in Zendesk with its search syntax.",
    takes("query", query=word("Such as status<solved refund."), limit=limit(100, 20)),
    Call(
        path="/search.json",
        query={"query": "type:ticket {query}", "per_page": "{limit}"},
        read=rows("results", "id subject status priority tags updated=updated_at url"),
    ),
    writes=False,
)
