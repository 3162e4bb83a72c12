"""Notion's API (version 2022-06-28)."""

from typing import Any

from tools.schemas import secret, takes, word
from tools.signing_in import header
from tools.vendor import Vendor

NOTION = Vendor(
    slug="notion",
    brand="Notion",
    base="https://api.notion.com/v1",
    config=takes("token", token=secret("The secret of an internal integration that the pages are shared with.")),
    auth=header("Authorization", "Bearer {config.token}"),
    headers={"Notion-Version": "2022-06-28"},
)
PAGE = word("Id of the page.")
MOST_CHARS, MOST_BLOCKS = 2000, 100  # of one piece of text; of one request


def paragraphs(text: str) -> list[dict[str, Any]]:
    """The text as Notion's blocks, one per line; lines over Notion's limit become several."""
    pieces = [line[at : at + MOST_CHARS] for line in text.splitlines() if line.strip() for at in range(0, len(line), MOST_CHARS)]
    return [
        {"object": "block", "type": "paragraph", "paragraph": {"rich_text": [{"type": "text", "text": {"content": piece}}]}}
        for piece in pieces[:MOST_BLOCKS]
    ]
