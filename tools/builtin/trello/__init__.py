"""Trello's REST API (1)."""

from tools.schemas import secret, takes
from tools.signing_in import header
from tools.vendor import Vendor

TRELLO = Vendor(
    slug="trello",
    brand="Trello",
    base="https://api.trello.com/1",
    config=takes("api_key token", api_key=secret("The API key (trello.com/power-ups/admin)."), token=secret("A token made with that key.")),
    auth=header("Authorization", 'OAuth oauth_consumer_key="{config.api_key}", oauth_token="{config.token}"'),
)
