"""Invoices, of all or of one customer."""

from tools.answers import rows
from tools.builtin.stripe import STRIPE
from tools.schemas import choice, limit, takes, word
from tools.vendor import Call

TOOL = STRIPE.tool(
    "list-invoices",
    "List invoices",
    "Lists invoices in Stripe, newest first; amounts are in the smallest unit of the currency.",
    takes(
        customer=word("Id of the customer (cus_…)."),
        status=choice("Which ones.", "draft", "open", "paid", "uncollectible", "void"),
        limit=limit(100),
    ),
    Call(
        path="/invoices",
        query={"customer": "{customer}", "status": "{status}", "limit": "{limit}"},
        read=rows("data", "id number status total amount_due currency customer customer_email due_date created url=hosted_invoice_url"),
    ),
    writes=False,
)
