"""Find contacts."""

from tools.answers import rows
from tools.builtin.hubspot import HUBSPOT
from tools.schemas import limit, takes, word
from tools.vendor import Call

TOOL = HUBSPOT.tool(
    "search-contacts",
    "Search contacts",
    "Searches the contacts in HubSpot by name, address, phone or company.",
    takes("query", query=word("Words to look for."), limit=limit(100)),
    Call(
        method="POST",
        path="/objects/contacts/search",
        json={
            "query": "{query}",
            "limit": "{limit}",
            "properties": ["firstname", "lastname", "email", "phone", "company", "lifecyclestage"],
        },
        read=rows(
            "results",
            "id first_name=properties.firstname last_name=properties.lastname email=properties.email phone=properties.phone "
            "company=properties.company stage=properties.lifecyclestage",
        ),
    ),
    writes=False,
)
