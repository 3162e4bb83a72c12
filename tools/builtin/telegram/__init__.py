"""Telegram's Bot API."""

from tools.schemas import secret, takes
from tools.vendor import Vendor

TELEGRAM = Vendor(
    slug="telegram",
    brand="Telegram",
    base="https://api.telegram.org/bot{+config.bot_token}",
    config=takes("bot_token", bot_token={**secret("The token that @BotFather gave."), "pattern": "^[0-9]+:[A-Za-z0-9_-]+$"}),
)
