"""Intercom's REST API (2.11)."""

from tools.schemas import secret, takes
from tools.signing_in import header
from tools.vendor import Vendor

INTERCOM = Vendor(
    slug="intercom",
    brand="Intercom",
    base="https://api.intercom.io",
    config=takes("token", token=secret("The access token of an app (Intercom, Developer Hub).")),
    auth=header("Authorization", "Bearer {config.token}"),
    headers={"Intercom-Version": "2.11"},
)
