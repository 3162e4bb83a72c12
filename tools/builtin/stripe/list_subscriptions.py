"""Subscriptions, of all or of one customer."""

from tools.answers import rows
from tools.builtin.stripe import STRIPE
from tools.schemas import choice, limit, takes, word
from tools.vendor import Call

TOOL = STRIPE.tool(
    "list-subscriptions",
    "List subscriptions",
    "Lists subscriptions in Stripe.",
    takes(
        customer=word("Id of the customer (cus_…)."),
        status=choice("Which ones.", "active", "past_due", "canceled", "trialing", "all"),
        limit=limit(100),
    ),
    Call(
        path="/subscriptions",
        query={"customer": "{customer}", "status": "{status}", "limit": "{limit}"},
        read=rows("data", "id status customer currency prices=items.data.price.id cancel_at_period_end created"),
    ),
    writes=False,
)
