"""PagerDuty's REST API (v2)."""

from tools.schemas import secret, takes, word
from tools.signing_in import header
from tools.vendor import Vendor

PAGERDUTY = Vendor(
    slug="pagerduty",
    brand="PagerDuty",
    base="https://api.pagerduty.com",
    config=takes(
        "api_key from_email",
        api_key=secret("A REST API key (PagerDuty, Integrations, API Access Keys)."),
        from_email=word("Address of the user in whose name incidents are made."),
    ),
    auth=header("Authorization", "Token token={config.api_key}"),
    headers={"Accept": "application/vnd.pagerduty+json;version=2"},
)
