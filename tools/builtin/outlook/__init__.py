"""Microsoft Graph (v1.0): mail and calendar of one account."""

from typing import Any

from tools.schemas import takes
from tools.signing_in import refreshed, tokens
from tools.vendor import Vendor

OUTLOOK = Vendor(
    slug="outlook",
    brand="Outlook",
    base="https://graph.microsoft.com/v1.0/me",
    config={
        **takes(**tokens("Microsoft Graph", "the scopes Calendars.ReadWrite, Mail.Read and Mail.Send, as far as they are used")),
        "anyOf": [{"required": ["access_token"]}, {"required": ["refresh_token", "client_id"]}],
    },
    auth=refreshed("Microsoft", "https://login.microsoftonline.com/common/oauth2/v2.0/token"),
)


def people(addresses: list[str]) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": address}} for address in addresses]
