"""HubSpot's CRM API (v3)."""

from tools.schemas import secret, takes
from tools.signing_in import header
from tools.vendor import Vendor

HUBSPOT = Vendor(
    slug="hubspot",
    brand="HubSpot",
    base="https://api.hubapi.com/crm/v3",
    config=takes("token", token=secret("The access token of a private app (HubSpot, Settings, Integrations).")),
    auth=header("Authorization", "Bearer {config.token}"),
)
