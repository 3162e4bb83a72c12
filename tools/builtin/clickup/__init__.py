"""ClickUp's REST API (v2)."""

from tools.schemas import secret, takes
from tools.signing_in import header
from tools.vendor import Vendor

CLICKUP = Vendor(
    slug="clickup",
    brand="ClickUp",
    base="https://api.clickup.com/api/v2",
    config=takes("token", token=secret("A personal API token (ClickUp, Settings, Apps).")),
    auth=header("Authorization", "{config.token}"),
)
