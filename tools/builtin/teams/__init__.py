"""Microsoft Teams, through a channel's incoming webhook (a Workflows address)."""

from tools.schemas import secret, takes
from tools.vendor import Vendor

TEAMS = Vendor(
    slug="teams",
    brand="Microsoft Teams",
    base="{+config.webhook_url}",
    config=takes(
        "webhook_url",
        webhook_url={**secret("The address that the channel's workflow for incoming webhooks shows."), "pattern": "^https?://"},
    ),
)
