"""Airtable's Web API."""

from tools.schemas import secret, takes, word
from tools.signing_in import header
from tools.vendor import Vendor

AIRTABLE = Vendor(
    slug="airtable",
    brand="Airtable",
    base="https://api.airtable.com/v0",
    config=takes("token", token=secret("A personal access token (airtable.com/create/tokens).")),
    auth=header("Authorization", "Bearer {config.token}"),
)
BASE = word("Id of the base, such as appXXXXXXXXXXXXXX.")
TABLE = word("Name or id of the table.")
