"""Asana's REST API (1.0)."""

from tools.schemas import secret, takes
from tools.signing_in import header
from tools.vendor import Vendor

ASANA = Vendor(
    slug="asana",
    brand="Asana",
    base="https://app.asana.com/api/1.0",
    config=takes("token", token=secret("A personal access token (Asana, My apps).")),
    auth=header("Authorization", "Bearer {config.token}"),
)
