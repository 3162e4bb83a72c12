"""Dropbox's HTTP API (v2)."""

import json

from tools.schemas import takes, word
from tools.signing_in import refreshed, tokens
from tools.vendor import Vendor

DROPBOX = Vendor(
    slug="dropbox",
    brand="Dropbox",
    base="https://api.dropboxapi.com/2",
    config={
        **takes(**tokens("Dropbox", "the scopes files.metadata.read, files.content.read and files.content.write, as far as they are used")),
        "anyOf": [{"required": ["access_token"]}, {"required": ["refresh_token", "client_id"]}],
    },
    auth=refreshed("Dropbox", "https://api.dropboxapi.com/oauth2/token"),
)
CONTENT = "https://content.dropboxapi.com/2"
PATH = word("Path such as /Reports/march.txt.", pattern="^/")


def in_header(argument: dict[str, object]) -> str:
    """The argument as Dropbox wants it in a header: JSON of ASCII."""
    return json.dumps(argument).replace("\x7f", "\\u007f")
