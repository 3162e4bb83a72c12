"""Jira Cloud's REST API (v3)."""

from typing import Any

from tools.schemas import secret, takes, word
from tools.signing_in import basic
from tools.vendor import Vendor

JIRA = Vendor(
    slug="jira",
    brand="Jira",
    base="https://{config.site}.atlassian.net/rest/api/3",
    config=takes(
        "site email api_token",
        site=word("The first part of your-site.atlassian.net.", pattern="^[A-Za-z0-9-]+$"),
        email=word("The account's address."),
        api_token=secret("An API token (id.atlassian.com, Security)."),
    ),
    auth=basic("{config.email}", "{config.api_token}"),
)
KEY = word("Such as APP-12.", pattern="^[A-Za-z][A-Za-z0-9_]*-[0-9]+$")


def document(text: str) -> dict[str, Any]:
    """Plain text in Atlassian's document format, one paragraph per line."""
    lines = [line for line in text.splitlines() if line.strip()]
    return {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [{"type": "text", "text": line}]} for line in lines]}
