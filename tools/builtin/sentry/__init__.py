"""Sentry's Web API (0), at sentry.io or on somebody's own server."""

from tools.schemas import secret, takes, word
from tools.signing_in import header
from tools.vendor import Vendor

SENTRY = Vendor(
    slug="sentry",
    brand="Sentry",
    base="{+config.base_url}/api/0/organizations/{config.organization}",
    config=takes(
        "token organization",
        token=secret("An auth token with event:read (Sentry, Settings, Auth tokens)."),
        organization=word("Slug of the organisation."),
        base_url=word("Address of the server.", default="https://sentry.io"),
    ),
    auth=header("Authorization", "Bearer {config.token}"),
)
