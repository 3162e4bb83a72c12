"""Payments, of all or of one customer."""

from tools.answers import rows
from tools.builtin.stripe import STRIPE
from tools.schemas import limit, takes, word
from tools.vendor import Call

TOOL = STRIPE.tool(
    "list-payments",
    "List payments",
    "Lists payments (charges) in Stripe, newest first; amounts are in the smallest unit of the currency.",
    takes(customer=word("Id of the customer (cus_…)."), limit=limit(100)),
    Call(
        path="/charges",
        query={"customer": "{customer}", "limit": "{limit}"},
        read=rows("data", "id amount currency status paid refunded customer description failure_message created receipt_url"),
    ),
    writes=False,
)
