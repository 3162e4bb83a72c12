"""GitHub's REST API (version 2022-11-28)."""

from tools.schemas import secret, takes, whole, word
from tools.signing_in import header
from tools.vendor import Vendor

GITHUB = Vendor(
    slug="github",
    brand="GitHub",
    base="https://api.github.com",
    config=takes(
        "token", token=secret("A personal access token (github.com/settings/tokens), limited to the repositories that it is for.")
    ),
    auth=header("Authorization", "Bearer {config.token}"),
    headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
)
OWNER = word("Whose repository: a user or an organisation.")
REPO = word("Name of the repository.")
NUMBER = whole("Number of the issue or pull request.", 1, 10**9)
