"""Discord's HTTP API (v10), as a bot."""

from tools.schemas import secret, takes, word
from tools.signing_in import header
from tools.vendor import Vendor

DISCORD = Vendor(
    slug="discord",
    brand="Discord",
    base="https://discord.com/api/v10",
    config=takes("bot_token", bot_token=secret("The token of a bot that is in the server (discord.com/developers).")),
    auth=header("Authorization", "Bot {config.bot_token}"),
    headers={"User-Agent": "DiscordBot (https://github.com, 1.0)"},
)
CHANNEL = word("Id of the channel.", pattern="^[0-9]+$")
