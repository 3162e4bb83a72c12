"""Find orders."""

from tools.answers import rows
from tools.builtin.shopify import SHOPIFY
from tools.schemas import limit, takes, text
from tools.vendor import Call

QUERY = """query Orders($first: Int!, $query: String) {
  orders(first: $first, query: $query, sortKey: CREATED_AT, reverse: true) {
    nodes { id name createdAt displayFinancialStatus displayFulfillmentStatus totalPriceSet { shopMoney { amount currencyCode } } }
  }
}"""

TOOL = SHOPIFY.tool(
    "search-orders",
    "Search orders",
    "Searches the orders of a Shopify shop with its search syntax, newest first.",
    takes(query=text("Such as financial_status:paid created_at:>2026-01-01.", most=1000), limit=limit(100)),
    Call(
        method="POST",
        path="/graphql.json",
        json={"query": QUERY, "variables": {"first": "{limit}", "query": "{query}"}},
        read=rows(
            "data.orders.nodes",
            "id name created=createdAt payment=displayFinancialStatus delivery=displayFulfillmentStatus "
            "total=totalPriceSet.shopMoney.amount currency=totalPriceSet.shopMoney.currencyCode",
        ),
    ),
    writes=False,
)
