"""Twilio's REST API (2010-04-01)."""

from tools.locking import LOCK_PHONE
from tools.schemas import secret, takes, word
from tools.signing_in import basic
from tools.vendor import Vendor

TWILIO = Vendor(
    slug="twilio",
    brand="Twilio",
    base="https://api.twilio.com/2010-04-01/Accounts/{config.account_sid}",
    config=takes(
        "account_sid auth_token from_number",
        account_sid=word("The account's SID (AC…)."),
        auth_token=secret("The account's auth token."),
        from_number=word("The sender: a number of the account in the form +15005550006, or a messaging service (MG…)."),
        lock_recipient=LOCK_PHONE,
    ),
    auth=basic("{config.account_sid}", "{config.auth_token}"),
)
