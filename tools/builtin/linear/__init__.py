"""Linear's GraphQL API."""

from typing import Any

from tools.answers import at, complaint
from tools.schemas import secret, takes
from tools.signing_in import header
from tools.vendor import Vendor


def _failed(data: Any) -> str:
    return complaint(at(data, ["errors"]))


LINEAR = Vendor(
    slug="linear",
    brand="Linear",
    base="https://api.linear.app",
    config=takes("api_key", api_key=secret("A personal API key (Linear, Settings, Security & access).")),
    auth=header("Authorization", "{config.api_key}"),
    failed=_failed,
)
