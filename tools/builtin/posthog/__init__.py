"""PostHog's private API."""

from tools.schemas import secret, takes, word
from tools.signing_in import header
from tools.vendor import Vendor

POSTHOG = Vendor(
    slug="posthog",
    brand="PostHog",
    base="{+config.base_url}/api/projects/{config.project_id}",
    config=takes(
        "api_key project_id",
        api_key=secret("A personal API key (phx_…) with query:read."),
        project_id=word("Number of the project."),
        base_url=word("Address of the server.", default="https://us.posthog.com"),
    ),
    auth=header("Authorization", "Bearer {config.api_key}"),
)
