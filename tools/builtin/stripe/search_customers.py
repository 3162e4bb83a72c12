"""Find customers."""

from tools.answers import rows
from tools.builtin.stripe import STRIPE
from tools.schemas import limit, takes, word
from tools.vendor import Call

TOOL = STRIPE.tool(
    "search-customers",
    "Search customers",
    "Searches the customers in Stripe with its search syntax.",
    takes("query", query=word("Such as email:'ada@example.com' or name~'ada'."), limit=limit(100)),
    Call(
        path="/customers/search",
        query={"query": "{query}", "limit": "{limit}"},
        read=rows("data", "id name email currency balance delinquent created"),
    ),
    writes=False,
)
