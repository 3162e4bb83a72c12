"""Find products."""

from tools.answers import rows
from tools.builtin.shopify import SHOPIFY
from tools.schemas import limit, takes, text
from tools.vendor import Call

QUERY = """query Products($first: Int!, $query: String) {
  products(first: $first, query: $query) {
    nodes { id title handle status vendor totalInventory onlineStoreUrl }
  }
}"""

TOOL = SHOPIFY.tool(
    "search-products",
    "Search products",
    "Searches the products of a Shopify shop.",
    takes(query=text("Such as title:shirt status:active.", most=1000), limit=limit(100)),
    Call(
        method="POST",
        path="/graphql.json",
        json={"query": QUERY, "variables": {"first": "{limit}", "query": "{query}"}},
        read=rows("data.products.nodes", "id title handle status vendor inventory=totalInventory url=onlineStoreUrl"),
    ),
    writes=False,
)
