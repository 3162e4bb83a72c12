"""Zendesk's Support API (v2)."""

from tools.schemas import secret, takes, word
from tools.signing_in import basic
from tools.vendor import Vendor

ZENDESK = Vendor(
    slug="zendesk",
    brand="Zendesk",
    base="https://{config.subdomain}.zendesk.com/api/v2",
    config=takes(
        "subdomain email api_token",
        subdomain=word("The first part of your-company.zendesk.com.", pattern="^[A-Za-z0-9-]+$"),
        email=word("An agent's address."),
        api_token=secret("An API token (Zendesk, Admin Center, Apps and integrations)."),
    ),
    auth=basic("{config.email}/token", "{config.api_token}"),
)
