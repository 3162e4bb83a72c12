"""Calendly's API (v2), of the person whose token it is."""

from tools.registry import Use
from tools.schemas import secret, takes
from tools.signing_in import header
from tools.vendor import Call, Vendor

CALENDLY = Vendor(
    slug="calendly",
    brand="Calendly",
    base="https://api.calendly.com",
    config=takes("token", token=secret("A personal access token (Calendly, Integrations, API & webhooks).")),
    auth=header("Authorization", "Bearer {config.token}"),
)
ME = Call(path="/users/me")


async def me(use: Use) -> str:
    """The address by which Calendly names the person of the token: lists are asked for by it."""
    found = await CALENDLY.perform(ME, {}, use.config)
    return str(found.output["resource"]["uri"])
