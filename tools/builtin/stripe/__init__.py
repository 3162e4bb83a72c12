"""Stripe's REST API (v1), to read only: a restricted key with nothing but reading is enough."""

from tools.schemas import secret, takes
from tools.signing_in import header
from tools.vendor import Vendor

STRIPE = Vendor(
    slug="stripe",
    brand="Stripe",
    base="https://api.stripe.com/v1",
    config=takes("api_key", api_key=secret("A restricted key (rk_…) that may read customers, charges, invoices and subscriptions.")),
    auth=header("Authorization", "Bearer {config.api_key}"),
)
