"""GitLab's REST API (v4), at gitlab.com or on somebody's own server."""

from tools.schemas import secret, takes, word
from tools.signing_in import header
from tools.vendor import Vendor

GITLAB = Vendor(
    slug="gitlab",
    brand="GitLab",
    base="{+config.base_url}/api/v4",
    config=takes(
        "token",
        token=secret("A personal, group or project access token with the scope api."),
        base_url=word("Address of the server.", default="https://gitlab.com"),
    ),
    auth=header("PRIVATE-TOKEN", "{config.token}"),
)
PROJECT = word("Path such as group/app, or the project's number.")
