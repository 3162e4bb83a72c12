"""Google Workspace: one connection for calendar, mail, drive and sheets."""

from tools.schemas import takes, word
from tools.signing_in import refreshed, tokens
from tools.values import JsonSchema
from tools.vendor import Vendor

SCOPES = "the scopes calendar.events, gmail.readonly, gmail.send, drive.readonly and spreadsheets, as far as they are used"


def product(slug: str, brand: str, base: str) -> Vendor:
    return Vendor(
        slug=slug,
        brand=brand,
        base=base,
        config={
            **takes(**tokens("Google", SCOPES)),
            "anyOf": [{"required": ["access_token"]}, {"required": ["refresh_token", "client_id"]}],
        },
        auth=refreshed("Google", "https://oauth2.googleapis.com/token"),
        connection="google",
    )


CALENDAR = product("google-calendar", "Google Calendar", "https://www.googleapis.com/calendar/v3")
GMAIL = product("gmail", "Gmail", "https://gmail.googleapis.com/gmail/v1/users/me")
DRIVE = product("google-drive", "Google Drive", "https://www.googleapis.com/drive/v3")
SHEETS = product("google-sheets", "Google Sheets", "https://sheets.googleapis.com/v4/spreadsheets")
CALENDAR_ID: JsonSchema = word("Id of the calendar.", default="primary")
