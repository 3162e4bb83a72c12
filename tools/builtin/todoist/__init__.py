"""Todoist's REST API (v1)."""

from tools.schemas import secret, takes
from tools.signing_in import header
from tools.vendor import Vendor

TODOIST = Vendor(
    slug="todoist",
    brand="Todoist",
    base="https://api.todoist.com/api/v1",
    config=takes("token", token=secret("The API token (Todoist, Settings, Integrations, Developer).")),
    auth=header("Authorization", "Bearer {config.token}"),
)
