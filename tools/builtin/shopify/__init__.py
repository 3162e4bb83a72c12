"""Shopify's Admin API (GraphQL)."""

from typing import Any

from tools.answers import at, complaint
from tools.schemas import secret, takes, word
from tools.signing_in import header
from tools.vendor import Vendor


def _failed(data: Any) -> str:
    return complaint(at(data, ["errors"]))


SHOPIFY = Vendor(
    slug="shopify",
    brand="Shopify",
    base="https://{config.shop}.myshopify.com/admin/api/2026-07",
    config=takes(
        "shop access_token",
        shop=word("The first part of your-shop.myshopify.com.", pattern="^[A-Za-z0-9-]+$"),
        access_token=secret("The Admin API access token of a custom app that may read orders and products."),
    ),
    auth=header("X-Shopify-Access-Token", "{config.access_token}"),
    failed=_failed,
)
