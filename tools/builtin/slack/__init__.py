"""Slack's Web API."""

from typing import Any

from tools.schemas import secret, takes, word
from tools.signing_in import header
from tools.vendor import Vendor


def _failed(data: Any) -> str:
    """Slack says no with a status of 200."""
    return "" if isinstance(data, dict) and data.get("ok") else str((data or {}).get("error", "an answer without ok"))


SLACK = Vendor(
    slug="slack",
    brand="Slack",
    base="https://slack.com/api",
    config=takes("token", token=secret("A bot token (xoxb-…) with chat:write, channels:read and channels:history.")),
    auth=header("Authorization", "Bearer {config.token}"),
    failed=_failed,
)
CHANNEL = word("Id of the channel (C…), or its #name.")
